"""Show where our broker's time goes while one case runs.

    python -m interop.benchmark.profile ack-each              lines and functions, by sampling
    python -m interop.benchmark.profile rich --calls          calls, by cProfile (slows the broker two to four times)

The warm-up and the setting up of the case are in the profile too; --seconds makes them small beside the rest.
"""

from __future__ import annotations

import argparse
import json
import linecache
import pstats
import sys
import tempfile
from pathlib import Path

from interop.benchmark.__main__ import choose_cases, raise_file_limit
from interop.benchmark.brokers import Kind, Running
from interop.benchmark.client import RefusedError, StalledError
from interop.benchmark.report import format_value
from interop.benchmark.runner import sample
from interop.peers.amqpy import amqpy


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m interop.benchmark.profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("case")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--calls", action="store_true", help="use cProfile")
    parser.add_argument("--sort", default="tottime", help="order of cProfile's table (default: %(default)s)")
    parser.add_argument("--top", type=int, default=40, metavar="N", help="rows to print (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep the profile")
    parser.add_argument(
        "--amqpy-arg", action="append", default=[], metavar="ARG", help="for our broker: --amqpy-arg=--x"
    )
    options = parser.parse_args()
    raise_file_limit()
    with tempfile.TemporaryDirectory() as folder:
        target: Path = options.out or Path(folder, "profile")
        try:
            measured = _run(options, target)
        except (StalledError, RefusedError, ValueError) as error:
            print(error, file=sys.stderr)
            return 1
        print("  ".join(f"{key} {format_value(value)}" for key, value in measured.items()), end="\n\n")
        if options.calls:
            pstats.Stats(str(target)).sort_stats(options.sort).print_stats(options.top)
        else:
            _print_samples(target, options.top)
    return 0


def _run(options: argparse.Namespace, target: Path) -> dict[str, float]:
    """Run the case against a profiled broker, which writes its profile when it is stopped."""
    (case,) = choose_cases([options.case])
    cprofile = ("-m", "cProfile", "-o", str(target), "-m", "amqpy_broker")
    program = cprofile if options.calls else ("-m", "interop.benchmark.sampler", str(target))
    running = Running(Kind("amqpy", lambda: amqpy(arguments=options.amqpy_arg, program=program)))
    try:
        return sample(running, case.work, options.seconds)
    finally:
        running.stop()


def _print_samples(target: Path, top: int) -> None:
    data = json.loads(target.read_text())
    total = sum(count for _, count in data["lines"]) or 1
    print(f"{total} samples\n\nshare  line")
    for (file, number, _), count in sorted(data["lines"], key=lambda row: -row[1])[:top]:
        code = linecache.getline(file, number).strip()[:100]
        print(f"{count / total:6.1%} {_place(file)}:{number}  {code}")
    print("\nshare of the time in a function and what it calls")
    for (file, number, name), count in sorted(data["functions"], key=lambda row: -row[1])[:top]:
        print(f"{count / total:6.1%} {_place(file)}:{number}  {name}")


def _place(file: str) -> str:
    """Return the end of a path, enough to find it."""
    return "/".join(Path(file).parts[-3:])


if __name__ == "__main__":
    raise SystemExit(main())
