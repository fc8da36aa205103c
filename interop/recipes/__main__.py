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
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).resolve().parent
_REPOSITORY: Final = _HERE.parents[1]
# Kept: what is installed already is not installed again.
_ENVIRONMENT: Final = _REPOSITORY / ".venv-recipes"
# A recipe that hangs ends here; each test has a time-out of its own before.
_RECIPE_MAX_S: Final = 180


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m interop.recipes", description=__doc__)
    parser.add_argument("--python", type=Path, help="the interpreter of an environment where everything is installed")
    parser.add_argument("--only", action="append", choices=_recipes(), help="run this recipe; several times for more")
    parser.add_argument("pytest_arguments", nargs="*", metavar="PYTEST_ARGUMENT")
    arguments = parser.parse_args()
    python = arguments.python or _make_environment()
    passed = [_run(python, recipe, arguments.pytest_arguments) for recipe in arguments.only or _recipes()]
    return 0 if all(passed) else 1


def _recipes() -> list[str]:
    return sorted(path.parent.name for path in _HERE.glob("*/test_app.py"))


def _make_environment() -> Path:
    """Install the broker and what the recipes are written with, and return the interpreter."""
    python = _ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(_ENVIRONMENT, with_pip=True, symlinks=os.name != "nt")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--requirement", _HERE / "requirements.txt", "--editable", _REPOSITORY], check=True)
    return python


def _run(python: Path, recipe: str, pytest_arguments: Sequence[str]) -> bool:
    """Run a recipe's tests, and print one line, or all that pytest says if one fails."""
    # Not resolved: the interpreter of an environment is a link, and the environment is where the link is.
    command = [python.absolute(), "-m", "pytest", *pytest_arguments]
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
        passed, said = False, f"{(hanging.stdout or b'').decode(errors='replace')}\nended after {_RECIPE_MAX_S} s"
    lines = said.strip().splitlines() or ["it said nothing"]
    print(
        f"{'ok    ' if passed else 'FAILED'} {recipe:16} {time.monotonic() - began_s:5.1f} s  {lines[-1].strip('= ')}"
    )
    if not passed:
        print(said)
    sys.stdout.flush()
    return passed


if __name__ == "__main__":
    raise SystemExit(main())
