"""Names: how texts say them, which are reserved, which the broker makes up."""

import re

import pytest

from amqpy_broker.core.errors import AccessRefused
from amqpy_broker.core.names import NameSource, exchange_text, queue_text, refuse_reserved, without_line_breaks
from tests.fakes import refused


def test_a_seed_makes_names_repeat() -> None:
    first, second, other = NameSource(seed=7), NameSource(seed=7), NameSource(seed=8)
    names = [first.unique("amq.gen-") for _ in range(5)]

    assert names == [second.unique("amq.gen-") for _ in range(5)]
    assert names != [other.unique("amq.gen-") for _ in range(5)]


@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize("prefix", ["amq.gen-", "amq.ctag-"])
def test_a_made_up_name_looks_like_rabbitmqs_and_is_new(seed: int | None, prefix: str) -> None:
    source = NameSource(seed)
    names = [source.unique(prefix) for _ in range(200)]

    assert len(set(names)) == 200
    assert all(re.fullmatch(re.escape(prefix) + "[A-Za-z0-9_-]{22}", name) for name in names)


def test_without_a_seed_no_two_sources_agree() -> None:
    assert NameSource().unique("") != NameSource().unique("")


def test_texts_name_kind_and_vhost() -> None:
    assert queue_text("q", "/") == "queue 'q' in vhost '/'"
    assert exchange_text("x", "v") == "exchange 'x' in vhost 'v'"
    assert exchange_text("", "/") == "exchange 'amq.default' in vhost '/'"


@pytest.mark.parametrize(
    ("name", "stripped"), [("a\nb\r", "ab"), ("\r\n", ""), ("plain", "plain"), ("", ""), (" tab\t", " tab\t")]
)
def test_line_breaks_are_stripped_from_names(name: str, stripped: str) -> None:
    assert without_line_breaks(name) == stripped


@pytest.mark.parametrize("kind", ["queue", "exchange"])
@pytest.mark.parametrize("name", ["amq.", "amq.x", "amq.gen-x"])
def test_reserved_names_are_refused(kind: str, name: str) -> None:
    with refused(AccessRefused, f"{kind} name '{name}' contains reserved prefix 'amq.*'"):
        refuse_reserved(kind, name)


@pytest.mark.parametrize("name", ["", "amq", "amqp.x", "Amq.x", "my.amq.x"])
def test_other_names_are_free(name: str) -> None:
    refuse_reserved("queue", name)
