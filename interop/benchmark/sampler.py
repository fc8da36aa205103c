"""Run our broker and note every millisecond of its CPU time where it is: a profiler that costs next to nothing.

    python -m interop.benchmark.sampler FILE BROKER-ARGUMENTS...

cProfile makes each call dearer and so overrates small functions; this one shows lines, in proportion to their time.
Time inside C code counts for the line that called it. Only the main thread is seen.
"""

from __future__ import annotations

import json
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

INTERVAL_S: Final = 0.001
_DEPTH_MAX: Final = 40

_lines: Counter[tuple[str, int, str]] = Counter()
_functions: Counter[tuple[str, int, str]] = Counter()


def _note(_signal: int, frame: FrameType | None) -> None:
    if frame is None:
        return
    code = frame.f_code
    _lines[code.co_filename, frame.f_lineno or 0, code.co_qualname] += 1
    seen = set()
    depth = 0
    while frame is not None and depth < _DEPTH_MAX:
        code = frame.f_code
        seen.add((code.co_filename, code.co_firstlineno, code.co_qualname))
        frame = frame.f_back
        depth += 1
    for where in seen:
        _functions[where] += 1


def main() -> None:
    target = Path(sys.argv[1])
    sys.argv[:] = ["amqpy-broker", *sys.argv[2:]]
    signal.signal(signal.SIGPROF, _note)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)
    try:
        runpy.run_module("amqpy_broker", run_name="__main__")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        target.write_text(json.dumps({"lines": list(_lines.items()), "functions": list(_functions.items())}))


if __name__ == "__main__":
    main()
