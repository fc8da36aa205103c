"""The documentation tells the truth: its examples run, its commands and files are understood, its links lead somewhere.

- ```python runs as a script against a broker of its own, found at `amqp://guest:guest@localhost/` and in AMQP_URL;
  with a `def test_` in it, under pytest.
- ```text output, right after, is what it prints.
- ```console: commands that begin with `amqpy-broker` are parsed.
- ```toml: is read as a configuration file.
"""

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from amqpy_broker.cli import main
from amqpy_broker.config import load_config
from tests.broker_process import PATIENCE_S, broker_process, clean_environment

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
LITERAL_URL = "amqp://guest:guest@localhost/"
LIBRARIES = ("aio_pika", "celery", "pika", "pytest_asyncio", "trio")


class Block(NamedTuple):
    """A fenced block of a page."""

    page: Path
    line: int
    kind: str
    text: str
    output: str | None

    @property
    def id(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text()
        for found in re.finditer(r"^```([^\n]*)\n(.*?)^```\n(?:\n```text output\n(.*?)^```)?", text, re.M | re.S):
            yield Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2], found[3])


BLOCKS = list(blocks())


def of_kind(kind: str) -> list[object]:
    return [pytest.param(block, id=block.id) for block in BLOCKS if block.kind == kind]


@pytest.mark.parametrize("block", of_kind("python"))
def test_a_python_example_runs_and_prints_what_the_page_says(block: Block, tmp_path: Path) -> None:
    imported = set(re.findall(r"^(?:import|from) (\w+)", block.text, re.MULTILINE))
    for library in imported.intersection(LIBRARIES):
        if not importlib.util.find_spec(library):
            pytest.skip(f"{library} is not installed")
    is_test = "def test_" in block.text
    with broker_process() as broker:
        script = tmp_path / ("test_example.py" if is_test else "example.py")
        script.write_text(block.text.replace(LITERAL_URL, broker.url))
        runner = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)) if is_test else ()
        done = subprocess.run(
            [sys.executable, *runner, str(script)],
            cwd=tmp_path,
            env=clean_environment({"AMQP_URL": broker.url, "PYTHONPATH": str(ROOT)}),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    if block.output is not None:
        assert done.stdout == block.output


def commands() -> Iterator[object]:
    for block in BLOCKS:
        if block.kind not in ("console", "yaml"):
            continue
        for line in block.text.splitlines():
            for part in re.split(r"&&", line.removeprefix("- run: ").removeprefix("$ ")):
                words = shlex.split(part, comments=True)
                while words and re.fullmatch(r"\w+=\S*", words[0]):
                    words.pop(0)
                if words and Path(words[0]).name == "amqpy-broker" and not line.startswith("amqpy-broker"):
                    yield pytest.param(words[1:], id=f"{block.id} {shlex.join(words)}")


@pytest.mark.parametrize("arguments", list(commands()))
def test_a_command_of_the_documentation_is_understood(arguments: list[str], tmp_path: Path) -> None:
    if "--config" in arguments:
        file = tmp_path / "broker.toml"
        file.touch()
        arguments[arguments.index("--config") + 1] = str(file)
    context = main.make_context("amqpy-broker", arguments)
    rest = [*context._protected_args, *context.args] if hasattr(context, "_protected_args") else context.args
    if rest:
        name, command, arguments = main.resolve_command(context, rest)
        assert command is not None, name
        command.make_context(name, arguments, parent=context)


@pytest.mark.parametrize("block", of_kind("toml"))
def test_a_configuration_file_of_the_documentation_is_understood(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(block.text)
    config = load_config(file)
    context = main.make_context("amqpy-broker", ["--config", str(file)])
    assert context.default_map == config.options


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), target


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    for page in PAGES:
        if page.is_relative_to(ROOT / "docs") and page.name != "index.md":
            assert f"({page.relative_to(ROOT / 'docs')})" in index
