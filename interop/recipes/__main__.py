"""Run the recipes: `python -m interop.recipes`, in a virtual environment made for them, or `--python` in another.

Each recipe is a project of its own, so each has a run of pytest of its own. Everything after `--` goes to pytest.
"""

import argparse
import os
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).resolve().parent
_REPOSITORY: Final = _HERE.parents[1]
# Kept: what is installed already is not installed again.
_ENVIRONMENT: Final = _REPOSITORY / ".venv-recipes"
# They wait more than they work.
_TOGETHER: Final = 2
# A recipe that hangs ends here; each test has a time-out of its own before.
_RECIPE_MAX_S: Final = 180


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m interop.recipes", description=__doc__)
    parser.add_argument("--python", type=Path, help="the interpreter of an environment where everything is installed")
    parser.add_argument("--only", action="append", choices=_recipes(), help="run this recipe; several times for more")
    parser.add_argument("pytest_arguments", nargs="*", metavar="PYTEST_ARGUMENT")
    arguments = parser.parse_args()
    python = arguments.python or _make_environment()
    with ThreadPoolExecutor(_TOGETHER) as threads:
        run = partial(_run, python, pytest_arguments=arguments.pytest_arguments)
        results = threads.map(run, arguments.only or _recipes())
        return 0 if all([result.tell() for result in results]) else 1


def _recipes() -> list[str]:
    return sorted(path.parent.name for path in _HERE.glob("*/test_app.py"))


def _make_environment() -> Path:
    """Install the broker and what the recipes are written with, and return the interpreter."""
    python = _ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(_ENVIRONMENT, with_pip=True, symlinks=os.name != "nt")
    install: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--requirement", _HERE / "requirements.txt", "--editable", _REPOSITORY], check=True)
    return python


@dataclass(frozen=True)
class Result:
    """What came of a recipe's tests."""

    recipe: str
    passed: bool
    took_s: float
    said: str

    def tell(self) -> bool:
        """Print one line, and all that pytest said if a test failed; return whether all passed."""
        last = self.said.strip().splitlines()[-1:] or ["it said nothing"]
        print(f"{'ok    ' if self.passed else 'FAILED'} {self.recipe:16} {self.took_s:5.1f} s  {last[0].strip('= ')}")
        if not self.passed:
            print(self.said)
        sys.stdout.flush()
        return self.passed


def _run(python: Path, recipe: str, pytest_arguments: Sequence[str]) -> Result:
    # Not resolved: the interpreter of an environment is a link, and the environment is where the link is.
    command: list[str | Path] = [python.absolute(), "-m", "pytest", *pytest_arguments]
    began_s = time.monotonic()
    try:
        run = subprocess.run(
            command,
            cwd=_HERE / recipe,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_RECIPE_MAX_S,
            check=False,
        )
        passed, said = run.returncode == 0, run.stdout
    except subprocess.TimeoutExpired as hanging:
        # Octets, whatever `text` says.
        said = bytes(hanging.stdout or b"").decode(errors="replace")
        passed, said = False, f"{said}\nended after {_RECIPE_MAX_S} s"
    return Result(recipe, passed, time.monotonic() - began_s, said)


if __name__ == "__main__":
    raise SystemExit(main())
