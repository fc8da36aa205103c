"""Faults: whatever can go wrong between clients and a broker, when a test wants it to."""
