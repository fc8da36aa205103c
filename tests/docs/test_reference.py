"""The tables of the documentation are those of the code: options, refusals, profiles, arguments."""

import inspect
import re
from pathlib import Path

import click
import pytest

from amqpy_broker import Broker
from amqpy_broker.cli import main
from amqpy_broker.config import OPTIONS
from amqpy_broker.core import errors
from amqpy_broker.core.exchanges.types import EXCHANGE_TYPES, PREDECLARED
from amqpy_broker.core.limits import TX_OPERATIONS_MAX
from amqpy_broker.core.profile import PROFILES
from amqpy_broker.core.queues.arguments import CLASSIC_ARGUMENTS, QUEUE_TYPE
from amqpy_broker.core.vhost import ALTERNATE_EXCHANGE

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
VARIABLE_PREFIX = "AMQPY_"
# What stands in refusals for ever.
CONSTANTS = {
    "ALTERNATE_EXCHANGE": ALTERNATE_EXCHANGE,
    "QUEUE_TYPE": QUEUE_TYPE,
    "TX_OPERATIONS_MAX": str(TX_OPERATIONS_MAX),
}


def table_rows(page: str, first_cell: str) -> list[list[str]]:
    """The cells of the rows whose first cell begins so."""
    lines = (DOCS / page).read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in rows if row[0].startswith(first_cell)]


def test_every_option_is_documented_with_its_names_and_default() -> None:
    documented = {row[0].strip("`").split()[0]: row[1:4] for row in table_rows("configuration.md", "`--")}
    options = [option for option in main.params if isinstance(option, click.Option) and option.name != "version"]
    assert set(documented) == {option.opts[0] for option in options}
    for option in options:
        assert option.name is not None
        setting, variable, default = documented[option.opts[0]]
        assert variable == f"`{VARIABLE_PREFIX}{option.name.upper()}`"
        assert setting == (f"`{option.name}`" if option.name in OPTIONS else "")
        if option.is_flag:
            assert default == "off"
        elif isinstance(option.default, str | int):
            assert default == f"`{option.default}`"


def test_every_choice_is_documented() -> None:
    text = (DOCS / "configuration.md").read_text()
    for option in main.params:
        if isinstance(option.type, click.Choice):
            assert all(f"`{choice}`" in text for choice in option.type.choices)


def test_every_argument_and_attribute_of_the_broker_is_documented() -> None:
    text = (DOCS / "embedding.md").read_text()
    # The clock is for the broker's own tests, until there is a testing kit.
    arguments = set(inspect.signature(Broker).parameters) - {"clock"}
    documented = {row[0].strip("`") for row in table_rows("embedding.md", "`") if len(row) == 3}
    assert documented == arguments
    for name in ("url", "host", "port", "connection_count", "start()", "stop()"):
        assert name in text


def refusals() -> list[type[errors.AmqpError]]:
    return [
        error
        for _, error in inspect.getmembers(errors, inspect.isclass)
        if issubclass(error, errors.AmqpError) and hasattr(error, "code")
    ]


@pytest.mark.parametrize("refusal", refusals(), ids=lambda refusal: refusal.__name__)
def test_every_reply_code_is_documented_under_its_scope(refusal: type[errors.AmqpError]) -> None:
    text = (DOCS / "errors.md").read_text()
    of_channels, of_connections = text.split("## Errors of the connection")
    if refusal.scope is errors.Scope.CHANNEL:
        assert f"### {refusal.code} {refusal.name}" in of_channels
    else:
        assert f"| {refusal.code} {refusal.name} |" in of_connections


def documented_texts() -> list[str]:
    rows = [line.split(" | ") for line in (DOCS / "errors.md").read_text().splitlines() if line.startswith("|")]
    cells = [row[1] if re.match(r"\| \d{3} ", row[0]) else row[0] for row in rows]
    return [text for cell in cells for text in re.findall(r"`([^`]+)`", cell) if " " in text or "=" in text]


def source_text() -> str:
    """All of the package, with texts of several lines joined and what is put into them as in the documentation."""
    source = "\n".join(path.read_text() for path in sorted((ROOT / "amqpy_broker").rglob("*.py")))
    source = re.sub(r'"\s*\n\s*f?"', "", source).replace("{{", "{")
    for name, value in CONSTANTS.items():
        source = source.replace(f"{{{name}}}", value)
    return source


@pytest.mark.parametrize("text", documented_texts())
def test_a_documented_refusal_is_one_that_the_broker_knows(text: str) -> None:
    source = source_text()
    generic = re.sub(r"(queue|exchange) '…' in vhost '…'", "…", text)
    generic = re.sub(r"invalid arg 'x-[\w-]+'", "invalid arg '…'", generic)
    for fragment in re.split(r"'?…'?", generic.replace('"', "")):
        words = fragment.strip(" \"':,.()")
        assert words in source, words


def test_every_profile_is_documented() -> None:
    for name, column in (("3.10", 1), ("4.0", 2)):
        profile = PROFILES[name]
        assert table_rows("profiles.md", "version told")[0][column] == profile.version
        logins = re.sub(r" \(.*?\)", "", table_rows("profiles.md", "logins")[0][column])
        assert tuple(logins.split(", ")) == profile.mechanisms
        assert table_rows("profiles.md", "largest body")[0][column] == f"{profile.message_size_max >> 20} MiB"
    assert table_rows("profiles.md", "version told")[0][1:] == [profile.version for profile in PROFILES.values()]


def test_every_exchange_type_and_predeclared_exchange_is_documented() -> None:
    text = (DOCS / "exchanges.md").read_text()
    documented = {name for row in table_rows("exchanges.md", "") for name in re.findall(r"[\w-]+", row[0])}
    assert set(EXCHANGE_TYPES) <= documented
    for name, _, internal in PREDECLARED:
        assert internal or f"`{name}`" in text


def test_every_queue_argument_is_documented() -> None:
    documented = {name for row in table_rows("queues.md", "`x-") for name in re.findall(r"`(x-[\w-]+)`", row[0])}
    assert documented == set(CLASSIC_ARGUMENTS)
