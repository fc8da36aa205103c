"""What survives a restart, compared: each scenario has a first half, then the broker restarts, then its second half.

All scenarios share one restart: a broker that stops as it is told to (`stop`), or is killed (`kill`).
"""
