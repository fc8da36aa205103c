"""What a test sets up without a client: queues and messages, vhosts, definitions, snapshots."""
