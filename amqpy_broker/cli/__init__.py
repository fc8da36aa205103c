"""The command line: one file a command."""

from amqpy_broker.cli.serve import main

__all__ = ["main"]
