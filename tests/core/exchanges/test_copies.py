"""CC and BCC among the headers: which routing keys they name, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpy_broker.core.arguments import Argument, ArgumentValue, Kind
from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.exchanges.copies import copies_of

keys = st.lists(st.text(max_size=5), max_size=4)


def array(values: list[str]) -> Argument:
    return Argument("array", [Argument("longstr", value) for value in values])


@given(keys, keys)
def test_all_keys_of_cc_come_first_then_those_of_bcc(cc: list[str], bcc: list[str]) -> None:
    assert copies_of({"BCC": array(bcc), "CC": array(cc), "x": array(["x"])}) == (*cc, *bcc)


def test_without_the_headers_there_are_none() -> None:
    assert copies_of({"cc": array(["a"])}) == ()


def test_what_is_no_text_counts_for_nothing() -> None:
    mixed = [Argument("longstr", "a"), Argument("binary", b"b"), Argument("signedint", 1), Argument("longstr", "c")]

    assert copies_of({"CC": Argument("array", mixed)}) == ("a", "c")


@pytest.mark.parametrize(
    ("kind", "value"), [("longstr", "a"), ("binary", b"a"), ("void", None), ("table", {}), ("timestamp", 1)]
)
def test_anything_but_an_array_is_refused(kind: Kind, value: ArgumentValue) -> None:
    with pytest.raises(PreconditionFailed) as refusal:
        copies_of({"CC": array([]), "BCC": Argument(kind, value)})

    assert str(refusal.value) == f'invalid message: {{unacceptable_type_in_header,"BCC",{kind}}}'
