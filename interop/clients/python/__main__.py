"""Run the client suite: `python -m interop.clients.python`, with `--aio-pika 9` in an environment made for it.

Everything after `--` goes to pytest. `AMQP_URL` names another broker to test: the real RabbitMQ, for one.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).resolve().parent
_REPOSITORY: Final = _HERE.parents[2]
# What depends on aio-pika's version; the other clients have been through it with the current one.
_AIO_PIKA_TESTS: Final = ("test_aio_pika_*.py", "test_aiormq.py")
# A broker that answers nothing would cost a timeout a test.
_FAILURES_MAX: Final = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m interop.clients.python", description=__doc__)
    parser.add_argument("--aio-pika", choices=["9", "10"], default="10", help="the major version to test with")
    parser.add_argument("pytest_arguments", nargs="*", metavar="PYTEST_ARGUMENT")
    arguments = parser.parse_args()
    if arguments.aio_pika == "10":
        return _run_pytest(Path(sys.executable), [_HERE], arguments.pytest_arguments)
    with tempfile.TemporaryDirectory(prefix="aio-pika-9-") as folder:
        python = _make_environment(Path(folder), _HERE / "requirements-aio-pika-9.txt")
        files = [path for pattern in _AIO_PIKA_TESTS for path in sorted(_HERE.glob(pattern))]
        return _run_pytest(python, files, arguments.pytest_arguments)


def _make_environment(folder: Path, requirements: Path) -> Path:
    """Install the broker and its clients into a new environment and return its interpreter."""
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--requirement", requirements, "--editable", _REPOSITORY], check=True)
    return python


def _run_pytest(python: Path, paths: Sequence[Path], arguments: Sequence[str]) -> int:
    options = ["-c", _HERE / "pytest.ini", "--rootdir", _HERE, f"--maxfail={_FAILURES_MAX}"]
    command = [python, "-m", "pytest", *options, *paths, *arguments]
    return subprocess.run(command, cwd=_REPOSITORY, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
