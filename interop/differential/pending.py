"""Scenarios that are recorded before our broker can play them, listed in pending.txt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PENDING_FILE = Path(__file__).parent / "pending.txt"


@dataclass(frozen=True)
class Pending:
    """The entries of one profile."""

    entries: tuple[str, ...]

    def covers(self, name: str) -> bool:
        """Say whether an entry is this scenario, its file, or the scenario that this is a case of."""
        return any(name == entry or name.startswith((entry + ".", entry + "[")) for entry in self.entries)


def read_pending(profile: str, path: Path = PENDING_FILE) -> Pending:
    """Return what a profile does not play yet: each line a name and, if not for all, the profiles."""
    entries = []
    for line in path.read_text().splitlines():
        name, *profiles = line.partition("#")[0].split() or [""]
        if name and (not profiles or profile in profiles):
            entries.append(name)
    return Pending(tuple(entries))
