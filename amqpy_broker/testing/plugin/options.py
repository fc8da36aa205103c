"""What tests and their projects can choose. This imports nothing of the broker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import pytest

MARKER: Final = "amqp"
REPORT: Final = "report"


@dataclass(frozen=True, slots=True)
class Options:
    """What one test has chosen, or its project for it.

    `profile` None is the kit's default; `strict` None is no strict mode, and REPORT only for the summary at the end.
    """

    profile: str | None = None
    virtual_time: bool = False
    strict: str | None = None
    ignore: frozenset[str] = frozenset()

    @property
    def needs(self) -> Options:
        """What a broker must be made with: tests that need the same share one. What is ignored is told later."""
        return replace(self, strict=None if self.strict is None else "warn", ignore=frozenset())


def add_options(parser: pytest.Parser) -> None:
    """Tell pytest of the plugin's options."""
    group = parser.getgroup("amqp", "AMQP broker (amqpy-broker)")
    group.addoption("--amqp-profile", metavar="VERSION", help="RabbitMQ version to stand in for (ini: amqp_profile)")
    group.addoption(
        "--amqp-strict",
        nargs="?",
        const="error",
        choices=("warn", "error", "off"),
        help="warn of what clients do wrong, or fail the test; =error if nothing is said (ini: amqp_strict)",
    )
    group.addoption(
        "--amqp-ignore",
        action="append",
        default=[],
        metavar="RULE",
        help="a rule of strict mode that is not asked; may be given several times (ini: amqp_ignore)",
    )
    group.addoption(
        "--amqp-record", metavar="DIR", help="write what is said in each test to DIR, as JSONL (ini: amqp_record)"
    )
    group.addoption(
        "--amqp-report",
        action="store_true",
        help="tell at the end what strict mode found (ini: amqp_report)",
    )
    parser.addini("amqp_profile", "RabbitMQ version that the broker of the tests stands in for", default="")
    parser.addini("amqp_strict", "strict mode of the tests' broker: warn, error or off", default="")
    parser.addini("amqp_ignore", "rules of strict mode that are not asked", type="args", default=[])
    parser.addini("amqp_record", "directory for a recording of each test", default="")
    parser.addini("amqp_report", "tell at the end what strict mode found", type="bool", default=False)
    parser.addini("amqp_virtual_time", "whether the tests' broker has a clock to turn", type="bool", default=False)


def add_marker(config: pytest.Config) -> None:
    """Tell pytest of the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(profile=None, virtual_time=None, strict=None, ignore=()): what the broker of this test is like;"
        ' strict is "warn", "error" or "off"',
    )


def options_of_project(config: pytest.Config) -> Options:
    """Read what holds for tests that say nothing else.

    Raises:
        pytest.UsageError: strict mode has no such level.
    """
    level = config.getoption("--amqp-strict") or config.getini("amqp_strict") or None
    return Options(
        profile=config.getoption("--amqp-profile") or config.getini("amqp_profile") or None,
        virtual_time=bool(config.getini("amqp_virtual_time")),
        strict=REPORT if level is None and wants_report(config) else _level(level),
        ignore=frozenset((*config.getini("amqp_ignore"), *config.getoption("--amqp-ignore"))),
    )


def options_of(item: pytest.Item) -> Options:
    """Read what a test has chosen by its markers: the closest counts, and what is ignored adds up.

    Raises:
        pytest.UsageError: a marker says what cannot be.
    """
    options = options_of_project(item.config)
    for marker in reversed(list(item.iter_markers(MARKER))):
        try:
            options = _chosen(options, marker)
        except pytest.UsageError as error:
            raise pytest.UsageError(f"{item.nodeid}: {error}") from None
    return options


def _chosen(options: Options, marker: pytest.Mark) -> Options:
    said = dict(marker.kwargs)
    unknown = said.keys() - {"profile", "virtual_time", "strict", "ignore"}
    if marker.args or unknown:
        words = ", ".join([*map(repr, marker.args), *sorted(unknown)])
        raise pytest.UsageError(
            f"pytest.mark.{MARKER} takes profile=, virtual_time=, strict= and ignore=, but not {words}"
        )
    ignore = said.pop("ignore", ())
    if isinstance(ignore, str):
        raise pytest.UsageError(f"pytest.mark.{MARKER}: ignore is a list: ignore=[{ignore!r}]")
    if "strict" in said:
        said["strict"] = _level(said["strict"])
    return replace(options, **said, ignore=options.ignore | set(ignore))


def _level(name: object) -> str | None:
    if name is None or name == "off":
        return None
    if name not in ("warn", "error"):
        raise pytest.UsageError(f"strict mode of amqpy-broker is 'warn', 'error' or 'off', not {name!r}")
    return str(name)


def wants_report(config: pytest.Config) -> bool:
    """Whether there is to be a summary at the end."""
    return bool(config.getoption("--amqp-report") or config.getini("amqp_report"))


def record_directory(config: pytest.Config) -> str | None:
    """Return where recordings are written, if they are."""
    return config.getoption("--amqp-record") or config.getini("amqp_record") or None
