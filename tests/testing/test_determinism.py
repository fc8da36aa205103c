"""With a seed two runs of a program get the same from the broker."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import amqpy_broker

ROOT = Path(__file__).parents[2]
PACKAGE = Path(amqpy_broker.__file__).parent
# Sources of chance, and the only files that may use them: names and random exchanges, which the seed rules, and the
# salt of passwords, which is never shown.
CHANCE = {"random", "secrets", "uuid"}
ALLOWED = {"core/names.py": {"random"}, "core/exchanges/base.py": {"random"}, "core/users.py": {"os.urandom"}}
BROKER = ("core", "protocols", "server")


def run_program(profile: str, *seed: str, hash_seed: str) -> list[str]:
    """Run the program in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.testing.program", profile, *seed],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("profile", ["3.10", "4.3"])
def test_two_runs_with_one_seed_get_the_same_names_tags_and_choices(profile: str) -> None:
    first = run_program(profile, "1", hash_seed="1")
    assert run_program(profile, "1", hash_seed="2") == first
    other = run_program(profile, "2", hash_seed="1")
    assert len(other) == len(first)
    # Names, tags, and forty choices in a row, all differ.
    assert not set(first[:6]) & set(other[:6])
    assert first[-40:] != other[-40:]


def test_without_a_seed_no_two_runs_are_alike() -> None:
    assert run_program("4.0", hash_seed="1")[:6] != run_program("4.0", hash_seed="1")[:6]


def sources_of_chance(path: Path) -> set[str]:
    """Find what a module uses that is left to chance."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & CHANCE
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            found |= {node.module.partition(".")[0]} & CHANCE
        elif isinstance(node, ast.Attribute) and node.attr == "urandom":
            found.add("os.urandom")
    return found


def test_nothing_else_in_the_broker_is_left_to_chance() -> None:
    found = {
        str(path.relative_to(PACKAGE)): sources
        for layer in BROKER
        for path in (PACKAGE / layer).rglob("*.py")
        if (sources := sources_of_chance(path))
    }
    assert found == ALLOWED
