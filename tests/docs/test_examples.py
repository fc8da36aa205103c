"""The documentation tells the truth: its examples run, its commands and files are understood, its links lead somewhere.

- ```python runs as a script against a broker of its own, found at `amqp://guest:guest@localhost/` and in AMQP_URL;
  with a `def test_` in it, under pytest.
- ```text output, right after, is what it prints.
- ```python shop.py is a file that the examples after it on the page find; tests in it run, too.
- ```python fails is a test that fails; the lines of its ```text output are in pytest's report, in this order: `…` is
  anything, and so are times and ports.
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
LIBRARIES = ("aio_pika", "celery", "kombu", "pika", "pytest_asyncio", "trio")


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

    @property
    def file_name(self) -> str:
        """What the page calls this file; "" if it is not one for others."""
        name = self.kind.removeprefix("python ")
        return name if name.endswith(".py") else ""

    @property
    def is_test(self) -> bool:
        return "def test_" in self.text

    def write_files_before(self, folder: Path) -> None:
        """Write what the page has named before this example."""
        for block in BLOCKS:
            if block.file_name and block.page == self.page and block.line < self.line:
                (folder / block.file_name).write_text(block.text)


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text()
        for found in re.finditer(r"^```([^\n]*)\n(.*?)^```\n(?:\n```text output\n(.*?)^```)?", text, re.M | re.S):
            yield Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2], found[3])


BLOCKS = list(blocks())


def of_kind(kind: str) -> list[object]:
    return [pytest.param(block, id=block.id) for block in BLOCKS if block.kind == kind]


def run(block: Block, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run an example, as a script or under pytest, with a broker and what the page has named before it."""
    imported = set(re.findall(r"^(?:import|from) (\w+)", block.text, re.MULTILINE))
    for library in imported.intersection(LIBRARIES):
        if not importlib.util.find_spec(library):
            pytest.skip(f"{library} is not installed")
    with broker_process() as broker:
        block.write_files_before(folder)
        script = folder / (block.file_name or ("test_example.py" if block.is_test else "example.py"))
        script.write_text(block.text.replace(LITERAL_URL, broker.url))
        runner = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder)) if block.is_test else ()
        return subprocess.run(
            [sys.executable, *runner, str(script)],
            cwd=folder,
            env=clean_environment({"AMQP_URL": broker.url, "PYTHONPATH": str(ROOT)}),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )


@pytest.mark.parametrize(
    "block", [pytest.param(block, id=block.id) for block in BLOCKS if block.kind == "python" or block.file_name]
)
def test_a_python_example_runs_and_prints_what_the_page_says(block: Block, tmp_path: Path) -> None:
    done = run(block, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    if block.output is not None:
        assert done.stdout == block.output


@pytest.mark.parametrize("block", of_kind("python fails"))
def test_an_example_that_fails_reports_what_the_page_says(block: Block, tmp_path: Path) -> None:
    done = run(block, tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert block.output is not None
    rest = iter(map(timeless, done.stdout.splitlines()))
    for line in block.output.splitlines():
        pattern = ".*".join(map(re.escape, timeless(line).split("…")))
        assert any(re.fullmatch(pattern, there.rstrip()) for there in rest), f"{line}\n\nis not there:\n{done.stdout}"


def timeless(line: str) -> str:
    """Replace times of day, ports and the length of rulers, which differ from run to run."""
    line = re.sub(r"\d\d:\d\d:\d\d\.\d{3}", "TIME", line.rstrip())
    line = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", line)
    return re.sub(r"^([-=_])\1* (.*) \1+$", r"\1 \2 \1", line)


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
