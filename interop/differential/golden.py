"""Recorded transcripts: one text file an AMQP noun and RabbitMQ version, made to be read and to be diffed."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from interop.differential.player import Transcripts

_HEADING = "# "
FOLDER = Path(__file__).parent / "golden"
# The profile: the RabbitMQ that speaks for it.
VERSIONS = {"3.10": "3.10.8", "4.0": "4.0.5"}


def write(profile: str, transcripts: Transcripts, *, keep_others: bool) -> None:
    """Write transcripts into the files of their nouns; other scenarios there stay only if that is asked for."""
    by_noun: dict[str, Transcripts] = defaultdict(dict)
    nouns = {_noun(name) for name in transcripts}
    others = {name: lines for name, lines in read(profile).items() if keep_others and _noun(name) in nouns}
    for name, lines in (others | transcripts).items():
        by_noun[_noun(name)][name] = lines
    for noun, fresh in by_noun.items():
        path = _path(profile, noun)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_as_text(fresh))


def read(profile: str) -> Transcripts:
    """Return all recorded transcripts of a profile."""
    found: Transcripts = {}
    for path in sorted((FOLDER / VERSIONS[profile]).glob("*.txt")):
        for section in path.read_text().split("\n" + _HEADING):
            name, *lines = section.removeprefix(_HEADING).rstrip("\n").split("\n")
            found[name] = lines
    return found


def _as_text(transcripts: Transcripts) -> str:
    return "\n".join("\n".join([_HEADING + name, *lines, ""]) for name, lines in transcripts.items())


def _path(profile: str, noun: str) -> Path:
    return FOLDER / VERSIONS[profile] / f"{noun}.txt"


def _noun(name: str) -> str:
    return name.partition(".")[0]
