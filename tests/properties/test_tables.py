"""Field tables: what is written is read again, and nothing makes the reader stumble."""

import json
import math
from datetime import UTC, datetime
from struct import pack
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st
from pamqp import decode, encode

from amqpy_broker.core.arguments import Argument, arguments, check_equivalent, plain, term
from amqpy_broker.core.erlang_terms import format_p, format_w
from amqpy_broker.protocols.amqp091.tables import MalformedTable, read_fields, read_table, without_field, write_table

Values: TypeAlias = st.SearchStrategy[Argument]


def of(kind: str, values: st.SearchStrategy[object]) -> Values:
    return values.map(lambda value: Argument(kind, value))  # type: ignore[arg-type]


def integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)


# Names and texts of a table are any octets.
texts = st.text(max_size=8) | st.binary(max_size=8).map(lambda octets: octets.decode("utf-8", "surrogateescape"))
scalars: Values = st.one_of(
    of("byte", integers(8, signed=True)),
    of("unsignedbyte", integers(8, signed=False)),
    of("short", integers(16, signed=True)),
    of("unsignedshort", integers(16, signed=False)),
    of("signedint", integers(32, signed=True)),
    of("unsignedint", integers(32, signed=False)),
    of("long", integers(64, signed=True)),
    of("timestamp", integers(64, signed=False)),
    of("float", st.floats(width=32, allow_nan=False, allow_infinity=False)),
    of("double", st.floats(allow_nan=False, allow_infinity=False)),
    of("decimal", st.tuples(integers(8, signed=False), integers(32, signed=False))),
    of("longstr", texts),
    of("binary", st.binary(max_size=8)),
    of("bool", st.booleans()),
    of("void", st.none()),
)
values: Values = st.recursive(
    scalars,
    lambda inside: of("array", st.lists(inside, max_size=4)) | of("table", st.dictionaries(texts, inside, max_size=4)),
    max_leaves=20,
)
tables = st.dictionaries(texts, values, max_size=6)


@given(tables)
def test_a_written_table_reads_as_it_was(table: dict[str, Argument]) -> None:
    data = write_table(table)

    assert read_table(data) == (table, len(data))
    assert write_table(read_table(data)[0]) == data


@given(st.lists(st.tuples(texts, values), max_size=6), texts)
def test_a_table_without_a_field_is_the_others_byte_for_byte(fields: list[tuple[str, Argument]], name: str) -> None:
    written = [write_table({field: value})[4:] for field, value in fields]
    names = [field for field, _ in fields]
    rest = list(written)
    if name in names:
        del rest[names.index(name)]

    assert without_field(_with_length(written), name) == _with_length(rest)


def _with_length(fields: list[bytes]) -> bytes:
    octets = b"".join(fields)
    return pack(">I", len(octets)) + octets


@given(tables, st.binary(max_size=4), st.binary(max_size=4))
def test_a_table_is_read_wherever_it_stands(table: dict[str, Argument], before: bytes, after: bytes) -> None:
    data = write_table(table)

    assert read_table(before + data + after, len(before)) == (table, len(before) + len(data))
    assert read_fields(before + data + after, len(before) + 4, len(before) + len(data)) == table


# Octets that are likelier to be a table than any octets.
field_octets = st.lists(
    st.sampled_from([b"bBsuIilLTfdDSxtVFAZ"[at : at + 1] for at in range(19)])
    | st.sampled_from([b"\x00", b"\x01", b"\x00\x00\x00\x01", b"\x00\x00\x00\x05", b"\x01k", b"\x7f\xf0\x00\x00"])
    | st.binary(max_size=3),
    max_size=20,
).map(b"".join)


@given(st.binary(max_size=64) | field_octets | field_octets.map(lambda fields: pack(">I", len(fields)) + fields))
def test_any_octets_are_a_table_or_malformed(data: bytes) -> None:
    try:
        table, stop = read_table(data)
    except MalformedTable:
        return

    assert 4 <= stop <= len(data)
    assert read_table(write_table(table))[0] == table


@given(tables, st.data())
def test_a_damaged_table_is_a_table_or_malformed(table: dict[str, Argument], data: st.DataObject) -> None:
    octets = bytearray(write_table(table))
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))

    try:
        read_table(bytes(octets))
    except MalformedTable:
        return


# pamqp 3.3 cannot write negative octets, and sends floats with 32 bits.
pamqp_scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**63), -129) | st.integers(0, 2**63 - 1),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.binary(max_size=8).map(bytearray),
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
        lambda moment: moment.replace(microsecond=0)
    ),
    st.none(),
)
pamqp_tables = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        pamqp_scalars,
        lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=8), inside, max_size=4),
        max_leaves=12,
    ),
    max_size=5,
)


def as_pamqp(value: Argument) -> object:
    """Give our value the Python type that pamqp gives it."""
    match value:
        case Argument("timestamp", int() as seconds):
            return datetime.fromtimestamp(seconds, tz=UTC)
        case Argument("binary", bytes() as octets):
            return bytearray(octets)
        case Argument("table", dict() as fields):
            return {name: as_pamqp(item) for name, item in fields.items()}
        case Argument("array", list() as items):
            return [as_pamqp(item) for item in items]
        case _:
            return value.value


@given(pamqp_tables)
def test_tables_that_pamqp_writes_are_read_as_pamqp_reads_them(table: dict[str, object]) -> None:
    data = encode.field_table(table)  # type: ignore[arg-type]
    ours, stop = read_table(data)
    consumed, theirs = decode.field_table(data)

    assert stop == consumed
    assert {name: as_pamqp(value) for name, value in ours.items()} == theirs == table
    assert write_table(ours) == data


@given(pamqp_tables)
def test_natural_types_keep_the_value_of_what_is_written(table: dict[str, object]) -> None:
    typed = arguments(table)

    assert read_table(write_table(typed))[0] == typed
    assert {name: as_pamqp(value) for name, value in typed.items()} == table


@given(tables)
def test_plain_values_are_what_json_can_hold(table: dict[str, Argument]) -> None:
    shown = plain(table)

    assert json.loads(json.dumps(shown, allow_nan=False, ensure_ascii=False).encode()) == shown


@given(values, values)
def test_equivalence_is_symmetric_and_reflexive_and_never_stumbles(one: Argument, other: Argument) -> None:
    def difference(current: Argument, received: Argument) -> str | None:
        return check_equivalent({"k": current}, {"k": received}, ["k"], "queue 'q' in vhost '/'")

    assert difference(one, one) is None
    assert (difference(one, other) is None) == (difference(other, one) is None)
    (difference(one, other) or "").encode()


@given(values)
def test_every_value_prints_as_a_term_in_one_line_of_utf8(value: Argument) -> None:
    for printed in (
        format_p(term(value.value)),
        format_p(term(value.value), unicode=False),
        format_w(term(value.value)),
    ):
        assert "\n" not in printed
        printed.encode()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_float_reads_as_it_was(number: float) -> None:
    printed = format_p(number)

    assert float(printed) == number
    assert math.copysign(1, float(printed)) == math.copysign(1, number)
    assert "." in printed
