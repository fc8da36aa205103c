"""Strict mode: the broker tells what clients did that works in a test and hurts in production."""
