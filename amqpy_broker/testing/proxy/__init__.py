"""A proxy before any broker."""
