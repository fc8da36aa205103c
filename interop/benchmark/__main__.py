"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import resource
import sys
from pathlib import Path

from interop.benchmark import __doc__ as description
from interop.benchmark.brokers import DEFAULT_NAMES, find_kinds, running_kind
from interop.benchmark.cases import CASES, Case
from interop.benchmark.chart import as_svg
from interop.benchmark.report import as_json, as_table
from interop.benchmark.runner import Runner, shortened


def main() -> int:
    options = _parse()
    raise_file_limit()
    try:
        cases = choose_cases(options.only)
        kinds, missing = find_kinds([] if options.url else options.brokers.split(","), options.amqpy_arg)
        if options.url:
            kinds = [running_kind(options.url, options.pid)]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for name in missing:
        print(f"{name} is not installed: left out", file=sys.stderr)
    if not kinds:
        return 2
    seconds = options.seconds or (0.5 if options.quick else 2.0)
    rounds = options.rounds or (1 if options.quick else 3)
    runner = Runner(kinds, seconds=seconds, rounds=rounds)
    try:
        runner.run([shortened(case) for case in cases] if options.quick else cases)
    except KeyboardInterrupt:
        print("interrupted: what was measured until now follows", file=sys.stderr)
    done = [case for case in cases if case.name in runner.results]
    print(as_table(runner, done))
    if options.json:
        options.json.write_text(as_json(runner, done, seconds=seconds, rounds=rounds, quick=options.quick) + "\n")
    if options.svg:
        options.svg.write_text(as_svg(runner, done))
    return 0


def choose_cases(names: list[str]) -> list[Case]:
    """Return the cases of these names, or all; several names may stand in one argument, with commas."""
    wanted = [name for argument in names for name in argument.split(",")]
    unknown = set(wanted) - {case.name for case in CASES}
    if unknown:
        raise ValueError(f"no case {', '.join(sorted(unknown))}: there are {', '.join(case.name for case in CASES)}")
    return [case for case in CASES if not wanted or case.name in wanted]


def raise_file_limit() -> None:
    """Allow this process and the brokers that it starts as many open sockets as the machine permits."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m interop.benchmark",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="cases:\n" + "\n".join(f"  {case.name:<20}{case.says}" for case in CASES),
    )
    parser.add_argument("--only", action="append", default=[], metavar="CASE", help="repeatable, or with commas")
    parser.add_argument("--brokers", default=",".join(DEFAULT_NAMES), help="also rabbitmq-4.0 (default: %(default)s)")
    parser.add_argument("--seconds", type=float, help="measured time of a sample (default: 2)")
    parser.add_argument("--rounds", type=int, help="samples of a case and broker (default: 3)")
    parser.add_argument("--quick", action="store_true", help="half a second, one round, a tenth of the queues")
    parser.add_argument(
        "--amqpy-arg", action="append", default=[], metavar="ARG", help="for our broker: --amqpy-arg=--x"
    )
    parser.add_argument("--url", help="measure a broker that already runs on 127.0.0.1; needs --pid")
    parser.add_argument("--pid", type=int, help="the process whose CPU time and memory count")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write a chart of the medians")
    options = parser.parse_args()
    if options.url and not options.pid:
        parser.error("--url needs --pid")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
