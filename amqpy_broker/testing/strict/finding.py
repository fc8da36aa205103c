"""What strict mode finds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(slots=True)
class Finding:
    """Something that a client should do differently.

    Attributes:
        rule: the rule's name, by which it is ignored.
        what: what happened.
        fix: what to do instead.
        connection: the client's name for its connection, or else both ends of it.
        vhost: where it happened.
        channel: on which channel; 0 is the connection itself.
        said: what was said last before it, a line each.
        times: how often it was found in this place.
    """

    rule: str
    what: str
    fix: str
    connection: str
    vhost: str
    channel: int
    said: tuple[str, ...] = ()
    times: int = 1

    @property
    def headline(self) -> str:
        """What and where, on one line."""
        where = f"connection '{self.connection}'" + (f", channel {self.channel}" if self.channel else "")
        times = f" ({self.times} times)" if self.times > 1 else ""
        return f"{self.rule}: {self.what}{times} [{where}]"

    def __str__(self) -> str:
        lines = [self.headline, f"  do: {self.fix}"]
        if self.said:
            lines += ["  said before:", *(f"    {line}" for line in self.said)]
        return "\n".join(lines)


class FindingsError(AssertionError):
    """Strict mode found something; the text tells everything."""


class StrictWarning(UserWarning):
    """Strict mode found something; the text tells what, and what to do."""


def tell(findings: Iterable[Finding]) -> str:
    """Tell of findings, for people."""
    found = list(findings)
    head = f"strict mode found {len(found)} thing{'s' if len(found) != 1 else ''}"
    silence = 'Each can be silenced by its name: ignore=["…"].'
    return "\n\n".join([f"{head}. {silence}", *map(str, found)])


def assert_none(findings: list[Finding]) -> None:
    """Find that there are none.

    Raises:
        FindingsError: there are.
    """
    if findings:
        raise FindingsError(tell(findings))
