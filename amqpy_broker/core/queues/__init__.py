"""Queue types and their parts."""
