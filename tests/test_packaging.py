"""What is delivered: the wheel, its names and its version; and that the layers import downwards only."""

import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import amqpy_broker
from amqpy_broker.version import VERSION

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()

needs_hatchling = pytest.mark.skipif(not importlib.util.find_spec("hatchling"), reason="hatchling is not installed")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    script = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


@needs_hatchling
def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "amqpy_broker").rglob("*.py")}
    assert inside == modules | {"amqpy_broker/py.typed"}


@needs_hatchling
def test_the_wheel_carries_the_license_the_readme_and_the_command(wheel: zipfile.ZipFile) -> None:
    info = f"amqpy_broker-{VERSION}.dist-info"
    assert wheel.read(f"{info}/licenses/LICENSE").decode() == (ROOT / "LICENSE").read_text()
    assert "amqpy-broker = amqpy_broker.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
    described = wheel.read(f"{info}/METADATA").decode()
    assert "License-Expression: Apache-2.0" in described
    assert (ROOT / "README.md").read_text().splitlines()[0] in described


@needs_hatchling
def test_the_wheel_needs_three_libraries(wheel: zipfile.ZipFile) -> None:
    described = wheel.read(f"amqpy_broker-{VERSION}.dist-info/METADATA").decode()
    needed = re.findall(r"^Requires-Dist: ([\w-]+)[^;\n]*$", described, re.MULTILINE)
    assert sorted(needed) == ["anyio", "click", "pamqp"]


def test_the_type_hints_are_for_everybody() -> None:
    assert (ROOT / "amqpy_broker" / "py.typed").is_file()


def test_the_public_names() -> None:
    assert amqpy_broker.__all__ == ["Broker"]


def test_there_is_one_version() -> None:
    assert PROJECT["version"] == VERSION == metadata.version("amqpy-broker")


def test_the_changelog_is_in_the_form_of_keep_a_changelog() -> None:
    headings = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])
    kinds = set(re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_license_is_complete() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert "Copyright 2026 The amqpy-broker authors" in text


@pytest.mark.skipif(not importlib.util.find_spec("importlinter"), reason="import-linter is not installed")
def test_the_layers_import_downwards_only() -> None:
    script = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_start_up_does_not_pay_for_what_it_does_not_use() -> None:
    """Each of these would cost a tenth of the start-up time, or is for one event loop only."""
    script = "import sys, amqpy_broker.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    # What site's .pth files of a development environment import is not ours.
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split()) - set(bare.stdout.split())
    assert loaded.isdisjoint({"importlib.metadata", "email", "trio", "uvloop", "http.client", "unittest"})
