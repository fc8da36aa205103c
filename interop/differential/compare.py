"""What differs between two brokers' transcripts, what of it is on purpose, and what stopped differing."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from interop.differential.pending import Pending
from interop.differential.player import Transcripts

DEVIATIONS_FILE = Path(__file__).parent.parent / "deviations.toml"


@dataclass
class Deviation:
    """A scenario, or all cases of one, in which we differ from RabbitMQ on purpose."""

    scenario: str
    profiles: list[str]
    reason: str

    def covers(self, name: str) -> bool:
        return name == self.scenario or name.partition("[")[0] == self.scenario


@dataclass
class Comparison:
    """The names of scenarios by how they came out."""

    identical: list[str] = field(default_factory=list)
    deviating: dict[str, Deviation] = field(default_factory=dict)
    different: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    unrecorded: list[str] = field(default_factory=list)
    stale: list[Deviation] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.different or self.unrecorded or self.stale)

    def summary(self) -> str:
        counts = [
            f"{len(self.identical)} identical",
            f"{len(self.deviating)} deviating on purpose",
            f"{len(self.different)} different",
        ]
        if self.pending or self.done:
            counts.append(f"{len(self.pending)} different but pending")
            counts.append(f"{len(self.done)} no longer pending")
        if self.unrecorded:
            counts.append(f"{len(self.unrecorded)} not recorded")
        if self.stale:
            counts.append(f"{len(self.stale)} deviations that do not deviate any more")
        return ", ".join(counts)


def read_deviations(profile: str, path: Path = DEVIATIONS_FILE) -> list[Deviation]:
    """Return the deviations of a profile."""
    with path.open("rb") as file:
        entries = tomllib.load(file).get("deviation", [])
    deviations = [Deviation(**entry) for entry in entries]
    return [deviation for deviation in deviations if profile in deviation.profiles]


def compare(theirs: Transcripts, ours: Transcripts, deviations: list[Deviation], pending: Pending) -> Comparison:
    """Sort every scenario that we played."""
    result = Comparison()
    for name, lines in ours.items():
        covering = [deviation for deviation in deviations if deviation.covers(name)]
        if name not in theirs:
            result.unrecorded.append(name)
        elif lines == theirs[name]:
            result.identical.append(name)
            if pending.covers(name):
                result.done.append(name)
        elif covering:
            result.deviating[name] = covering[0]
        elif pending.covers(name):
            result.pending.append(name)
        else:
            result.different.append(name)
    for deviation in deviations:
        played = any(deviation.covers(name) for name in ours)
        if played and deviation not in result.deviating.values():
            result.stale.append(deviation)
    return result


def show_difference(name: str, theirs: list[str], ours: list[str]) -> Iterator[str]:
    """Yield the whole conversation with the lines that differ marked."""
    yield f"== {name}"
    lines = difflib.unified_diff(theirs, ours, "RabbitMQ", "ours", n=12, lineterm="")
    yield from (f"  {line}" for line in lines)
