"""A broker of the kit while it runs: its time, when it is settled, restarts, and which brokers there are."""
