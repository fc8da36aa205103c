"""The results for people (a table) and for programs (JSON)."""

from __future__ import annotations

import json
import os
import platform
import statistics
from datetime import UTC, datetime
from pathlib import Path

from interop.benchmark.cases import METRICS, Case, Metric
from interop.benchmark.runner import Result, Runner, Sample

# A load generator that uses more of a core than this may be what limits the throughput.
LOAD_CORES_MAX = 0.85
# A broker under load that is silent for longer than this has something to explain.
PAUSE_MAX_MS = 150
OTHER_CORES_MAX = 0.3


def as_table(runner: Runner, cases: list[Case]) -> str:
    """Return lines of one figure each: its value for every broker, and how the first compares with the others."""
    names = list(runner.products)
    head = (
        ["case", "figure", *names, *[f"{names[0]} beside {name}" for name in names[1:]]]
        if names
        else ["case", "figure"]
    )
    rows = [head]
    for case in cases:
        results = runner.results[case.name]
        for metric in METRICS[type(case.work)]:
            values = [_cell(results[name], metric) for name in names]
            ratios = [_ratio(results[names[0]], results[other], metric) for other in names[1:]]
            rows.append([case.name, f"{metric.title}, {metric.unit}", *values, *ratios])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = []
    for number, row in enumerate(rows):
        cells = [
            text.ljust(width) if column < 2 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
        if number == 0:
            lines.append("-" * len(lines[0]))
    products = [f"{name}: {product}" for name, product in runner.products.items()]
    return "\n".join([*lines, "", *products, *_warnings(runner)])


def as_json(runner: Runner, cases: list[Case], *, seconds: float, rounds: int, quick: bool) -> str:
    """Return everything measured: medians, all samples, failures, and what it was measured on."""
    return json.dumps(
        {
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "brokers": runner.products,
            "seconds": seconds,
            "rounds": rounds,
            "quick": quick,
            "cases": {case.name: {"says": case.says, "brokers": _case_json(runner, case)} for case in cases},
        },
        indent=1,
    )


def machine() -> dict[str, str | int]:
    """Describe the machine without naming it."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def format_value(value: float) -> str:
    """Return three significant digits, without exponents."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _case_json(runner: Runner, case: Case) -> dict[str, object]:
    shown = {}
    for name, result in runner.results[case.name].items():
        keys = sorted({key for sample in result.samples for key in sample})
        shown[name] = {
            "median": {key: _rounded(result.median(key)) for key in keys},
            "samples": [{key: _rounded(value) for key, value in sample.items()} for sample in result.samples],
            "failures": result.failures,
        }
    return dict(shown)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def _cell(result: Result, metric: Metric) -> str:
    value = result.median(metric.key)
    if value is None:
        return result.failure or "-"
    mark = "*" if metric.key == "messages_per_s" and (result.median("load_cores") or 0) > LOAD_CORES_MAX else ""
    stalled = f" ({result.failure})" if result.failures else ""
    return format_value(value) + mark + stalled


def _ratio(ours: Result, other: Result, metric: Metric) -> str:
    """Say how many times better the first broker is, whatever better means here."""
    mine, theirs = ours.median(metric.key), other.median(metric.key)
    if not mine or not theirs:
        return ""
    times = theirs / mine if metric.less_is_better else mine / theirs
    if 0.95 < times < 1.05:
        return "the same"
    if times >= 1:
        return f"{times:.1f}x better"
    return f"{1 / times:.1f}x worse"


def _warnings(runner: Runner) -> list[str]:
    """Return what a reader has to know before believing the table."""
    pauses = [
        f"{case}: {name} delivered nothing for {pause:.0f} ms"
        for case, results in runner.results.items()
        for name, result in results.items()
        if (pause := max([sample.get("longest_pause_ms", 0) for sample in result.samples], default=0)) > PAUSE_MAX_MS
    ]
    limited = any(
        (result.median("load_cores") or 0) > LOAD_CORES_MAX
        for results in runner.results.values()
        for result in results.values()
    )
    others = [sample["other_cores"] for sample in _samples(runner) if "other_cores" in sample]
    if others and (busy := statistics.median(others)) > OTHER_CORES_MAX:
        pauses.append(f"{busy:.1f} cores were busy with other work: trust CPU a message, not throughput and latency")
    return pauses + (["* the load generator was busy: the broker may be able to do more"] if limited else [])


def _samples(runner: Runner) -> list[Sample]:
    return [sample for results in runner.results.values() for result in results.values() for sample in result.samples]


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
