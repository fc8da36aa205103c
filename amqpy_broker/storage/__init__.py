"""The durable store: the only code that touches the disk."""
