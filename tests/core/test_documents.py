"""Documents: what JSON cannot hold comes back all the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpy_broker.core.arguments import Argument, Arguments
from amqpy_broker.core.documents import About, Documents, dump_arguments, key_of, load_arguments, read_documents
from amqpy_broker.core.journal import JournalFailed, JournalWriter
from tests.memory_journal import MemoryJournal

names = st.text(max_size=5) | st.binary(max_size=4).map(lambda octets: octets.decode("utf-8", "surrogateescape"))
texts = names.filter(lambda text: not any("\ud800" <= character <= "\udc7f" for character in text))
scalars = st.one_of(
    st.builds(Argument, st.just("longstr"), texts),
    st.builds(Argument, st.just("binary"), st.binary(max_size=8)),
    st.builds(Argument, st.just("decimal"), st.tuples(st.integers(0, 255), st.integers(-(2**31), 2**31 - 1))),
    st.builds(Argument, st.sampled_from(["short", "long", "unsignedint", "timestamp"]), st.integers(0, 2**15)),
    st.builds(Argument, st.sampled_from(["float", "double"]), st.floats(allow_nan=False, allow_infinity=False)),
    st.builds(Argument, st.just("bool"), st.booleans()),
    st.just(Argument("void", None)),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(Argument, st.just("array"), st.lists(inner, max_size=3)),
        st.builds(Argument, st.just("table"), st.dictionaries(texts, inner, max_size=3)),
    ),
    max_leaves=8,
)


@given(table=st.dictionaries(texts, values, max_size=4))
def test_arguments_come_back_with_their_types(table: Arguments) -> None:
    loaded = load_arguments(json.loads(json.dumps(dump_arguments(table)).encode("ascii")))

    assert loaded == table
    assert repr(loaded) == repr(table), "1 is not True, and 1.0 is not 1"


@given(several=st.lists(texts, min_size=1, max_size=3))
def test_names_that_are_not_utf_8_come_back_from_keys_of_ascii(several: list[str]) -> None:
    key = key_of(About.QUEUE, *several)

    assert key.isascii()
    assert read_documents({key: b"{}"})[About.QUEUE][0].names == several


def test_a_later_version_s_documents_are_refused() -> None:
    with pytest.raises(JournalFailed, match="later version: its documents have format 2"):
        read_documents({key_of(About.FORMAT): b'{"version":2}'})


@pytest.mark.parametrize(
    ("key", "document"),
    [('queue ["/","q"]', b"no JSON"), ('kettle ["/"]', b"{}"), ("queue", b"{}")],
)
def test_what_is_no_document_is_told(key: str, document: bytes) -> None:
    with pytest.raises(JournalFailed, match="is damaged"):
        read_documents({key: document})


def test_numbers_are_never_given_twice() -> None:
    journal = MemoryJournal()
    documents = Documents(JournalWriter(journal))

    assert [documents.next_number() for _ in range(3)] == [1, 2, 3]
