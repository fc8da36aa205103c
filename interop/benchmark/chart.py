"""A bar chart of the medians as one SVG file: no dependency, readable on light and dark pages.

Figures differ by orders of magnitude between cases, so the bars of each figure are scaled to the longest of them, and
every bar carries its value.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from interop.benchmark.cases import METRICS, Case, Load, Metric
from interop.benchmark.report import format_value
from interop.benchmark.runner import Result, Runner

WIDTH: Final = 900
LABEL_WIDTH: Final = 310
VALUE_WIDTH: Final = 130
BAR_HEIGHT: Final = 13
GROUP_GAP: Final = 12
_COLOURS: Final = (("#2f6fdf", "#6ea2ff"), ("#e0812b", "#f0a35e"), ("#8a929c", "#9aa3ad"), ("#3f9b6a", "#63c08f"))
_UNITS: Final = {"us": "µs", "/s": "/s", "s": "s", "MiB": "MiB", "KiB": "KiB", "B": "B"}


def as_svg(runner: Runner, cases: Iterable[Case]) -> str:
    """Return the chart: CPU a message of the throughput cases first, then the other figures."""
    names = list(runner.products)
    loads = [(case, METRICS[Load][0]) for case in cases if isinstance(case.work, Load)]
    others = [(case, METRICS[type(case.work)][0]) for case in cases if not isinstance(case.work, Load)]
    parts: list[str] = []
    y = _legend(parts, [runner.products[name] or name for name in names])
    for title, rows in (("Broker CPU time a message", loads), ("Start, latency, topology, memory", others)):
        if rows:
            parts.append(f'<text class="title" x="0" y="{y + 20}">{title} (less is better)</text>')
            y += 34
            for case, metric in rows:
                y = _group(parts, y, case, metric, [runner.results[case.name][name] for name in names])
            y += 10
    dark = "".join(f".b{number}{{fill:{pair[1]}}}" for number, pair in enumerate(_COLOURS))
    light = "".join(f".b{number}{{fill:{pair[0]}}}" for number, pair in enumerate(_COLOURS))
    style = (
        "text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#24292f}"
        f".title{{font-size:14px;font-weight:600}}.soft{{fill:#6a737d}}{light}"
        f"@media(prefers-color-scheme:dark){{text{{fill:#e6edf3}}.soft{{fill:#9aa4af}}{dark}}}"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">'
    return "\n".join([head, "<title>amqpy-broker benchmark</title>", f"<style>{style}</style>", *parts, "</svg>", ""])


def _legend(parts: list[str], labels: list[str]) -> int:
    x = 0
    for number, label in enumerate(labels):
        parts.append(f'<rect class="b{number % 4}" x="{x}" y="4" width="12" height="12" rx="2"/>')
        parts.append(f'<text x="{x + 18}" y="14">{escape(label)}</text>')
        x += 44 + 7 * len(label)
    return 26


def _group(parts: list[str], y: int, case: Case, metric: Metric, results: list[Result]) -> int:
    """Draw the bars of one figure and return where the next begins."""
    values = [result.median(metric.key) for result in results]
    longest = max([value for value in values if value is not None], default=0) or 1
    middle = y + (BAR_HEIGHT + 2) * len(values) / 2
    label = case.name if isinstance(case.work, Load) else f"{case.name}: {metric.title}"
    parts.append(f'<text x="{LABEL_WIDTH - 12}" y="{middle + 4:.0f}" text-anchor="end">{escape(_short(label))}</text>')
    for number, (result, value) in enumerate(zip(results, values, strict=True)):
        length = (value or 0) / longest * (WIDTH - LABEL_WIDTH - VALUE_WIDTH)
        if value is None:
            text = result.failure or "not measured"
        else:
            text = f"{format_value(value)} {_UNITS[metric.unit]}"
            parts.append(
                f'<rect class="b{number % 4}" x="{LABEL_WIDTH}" y="{y}" width="{max(length, 1):.1f}" '
                f'height="{BAR_HEIGHT}" rx="2"/>'
            )
        parts.append(f'<text class="soft" x="{LABEL_WIDTH + length + 6:.1f}" y="{y + 11}">{escape(text)}</text>')
        y += BAR_HEIGHT + 2
    return y + GROUP_GAP


def _short(label: str) -> str:
    return label if len(label) <= 46 else label[:45] + "…"
