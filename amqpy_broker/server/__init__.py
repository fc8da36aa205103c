"""Listeners, connections' tasks, deadlines and shutdown: the shell around the pure layers."""
