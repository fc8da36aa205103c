"""Real clients, one folder a language, run unchanged against the broker."""
