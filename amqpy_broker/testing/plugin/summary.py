"""What strict mode found in all tests, told once at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class Found(TypedDict):
    """A finding as it travels from an xdist worker."""

    rule: str
    what: str
    fix: str
    times: int


class Summary:
    """Gathers what reports bring."""

    def __init__(self) -> None:
        self._findings: list[tuple[str, Found]] = []
        self.leaks: list[str] = []

    def add(self, test: str, findings: Sequence[Found]) -> None:
        """Learn what was found in a test."""
        self._findings += [(test, found) for found in findings]

    def lines(self) -> list[str]:
        """Tell everything, by rule: the rule that was broken most comes first."""
        by_rule: dict[str, list[tuple[str, Found]]] = {}
        for test, found in self._findings:
            by_rule.setdefault(found["rule"], []).append((test, found))
        lines: list[str] = []
        for rule, several in sorted(by_rule.items(), key=lambda item: (-len(item[1]), item[0])):
            tests = list(dict.fromkeys(test for test, _ in several))
            times = sum(found["times"] for _, found in several)
            first = several[0][1]
            lines += [
                f"{rule}: {times} time{'s' if times != 1 else ''} in {len(tests)} test{'s' if len(tests) != 1 else ''}",
                f"  such as: {first['what']}",
                f"  do: {first['fix']}",
                *(f"  {test}" for test in tests),
            ]
        return lines or ["strict mode found nothing"]
