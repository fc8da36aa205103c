from struct import pack

import pytest

from amqpy_broker.core.arguments import TABLE_DEPTH_MAX, Argument, argument
from amqpy_broker.protocols.amqp091.tables import MalformedTable, read_fields, read_table, write_table

# One field of each type, as octets and as a value.
FIELDS = [
    (b"b\xff", Argument("byte", -1)),
    (b"B\xff", Argument("unsignedbyte", 255)),
    (b"s\xff\xfe", Argument("short", -2)),
    (b"u\xff\xfe", Argument("unsignedshort", 65534)),
    (b"I\xff\xff\xff\xfe", Argument("signedint", -2)),
    (b"i\xff\xff\xff\xfe", Argument("unsignedint", 2**32 - 2)),
    (b"l" + b"\xff" * 8, Argument("long", -1)),
    (b"f" + pack(">f", 0.1), Argument("float", 0.10000000149011612)),
    (b"d" + pack(">d", 0.1), Argument("double", 0.1)),
    (b"D\x02\x00\x00\x01\x3a", Argument("decimal", (2, 314))),
    (b"T" + b"\xff" * 8, Argument("timestamp", 2**64 - 1)),
    (b"S\x00\x00\x00\x02\xc3\xa9", Argument("longstr", "é")),
    (b"x\x00\x00\x00\x02\x00\xff", Argument("binary", b"\x00\xff")),
    (b"t\x01", Argument("bool", True)),
    (b"t\x00", Argument("bool", False)),
    (b"V", Argument("void", None)),
    (b"F\x00\x00\x00\x04\x01at\x01", Argument("table", {"a": Argument("bool", True)})),
    (b"A\x00\x00\x00\x03Vt\x00", Argument("array", [Argument("void", None), Argument("bool", False)])),
    (b"F\x00\x00\x00\x00", Argument("table", {})),
    (b"A\x00\x00\x00\x00", Argument("array", [])),
]


def table(fields: bytes) -> bytes:
    return pack(">I", len(fields)) + fields


def arrays(levels: int) -> bytes:
    """Arrays in arrays."""
    return b"".join(b"A" + pack(">I", 5 * inside) for inside in reversed(range(levels)))


@pytest.mark.parametrize(("octets", "value"), FIELDS)
def test_each_type_is_read_and_written_as_itself(octets: bytes, value: Argument) -> None:
    data = table(b"\x01k" + octets)

    assert read_table(data) == ({"k": value}, len(data))
    assert type(read_table(data)[0]["k"].value) is type(value.value)
    assert write_table({"k": value}) == data


def test_a_table_stands_anywhere_and_ends_where_its_length_says() -> None:
    data = b"before" + table(b"\x01aV\x01bt\x01") + b"\x01cV"

    assert read_table(data, 6) == ({"a": Argument("void", None), "b": Argument("bool", True)}, len(data) - 3)


def test_fields_are_read_without_their_length() -> None:
    assert read_fields(b"..\x01aV..", 2, 5) == {"a": Argument("void", None)}
    assert read_fields(b"", 0, 0) == {}


def test_both_letters_for_a_long_mean_a_signed_one() -> None:
    fields, _ = read_table(table(b"\x01kL" + b"\xff" * 8))

    assert fields == {"k": Argument("long", -1)}
    assert write_table(fields) == table(b"\x01kl" + b"\xff" * 8)


def test_any_octet_but_zero_is_true() -> None:
    assert read_table(table(b"\x01kt\x07"))[0] == {"k": Argument("bool", True)}


def test_names_and_texts_that_are_not_utf8_survive() -> None:
    data = table(b"\x02\xff\xfeS\x00\x00\x00\x01\xe9")
    fields, _ = read_table(data)

    assert fields == {"\udcff\udcfe": Argument("longstr", "\udce9")}
    assert write_table(fields) == data


def test_a_name_may_be_empty() -> None:
    assert read_table(table(b"\x00V"))[0] == {"": Argument("void", None)}


def test_of_two_fields_with_one_name_the_first_counts() -> None:
    assert read_table(table(b"\x01kb\x01\x01kb\x02"))[0] == {"k": Argument("byte", 1)}


def test_fields_keep_their_order() -> None:
    assert list(read_table(table(b"\x01bV\x01aV"))[0]) == ["b", "a"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="no length"),
        pytest.param(b"\x00\x00\x00", id="half a length"),
        pytest.param(b"\x00\x00\x00\x01", id="less than its length"),
        pytest.param(table(b"\x05ab"), id="name cut short"),
        pytest.param(table(b"\x01k"), id="no type"),
        pytest.param(table(b"\x01kZ"), id="unknown type"),
        pytest.param(table(b"\x01kU\x00\x01"), id="the specification's U, which is s"),
        pytest.param(table(b"\x01kI\x00\x00\x00"), id="number cut short"),
        pytest.param(table(b"\x01kI\x00\x00\x00") + b"\x00", id="number that ends outside"),
        pytest.param(table(b"\x01kS\x00\x00\x00\x05ab"), id="text cut short"),
        pytest.param(table(b"\x01kS\x00\x00\x00\x05ab") + b"abc", id="text that ends outside"),
        pytest.param(table(b"\x01kx\x00\x00"), id="length of octets cut short"),
        pytest.param(table(b"\x01kD\x02\x00\x00\x00"), id="decimal cut short"),
        pytest.param(table(b"\x01kt"), id="bool cut short"),
        pytest.param(table(b"\x01kt") + b"\x01", id="bool that ends outside"),
        pytest.param(table(b"\x01kF\x00\x00\x00\x02\x01a"), id="malformed table inside"),
        pytest.param(table(b"\x01kF\x00\x00\x00\x09\x01aV"), id="table inside longer than its own"),
        pytest.param(table(b"\x01kA\x00\x00\x00\x01t\x01"), id="item longer than its array"),
        pytest.param(table(b"\x01kA\x00\x00\x00\x01Z"), id="malformed array inside"),
        pytest.param(table(b"\x01kd" + pack(">d", float("nan"))), id="NaN"),
        pytest.param(table(b"\x01kd" + pack(">d", float("-inf"))), id="infinity"),
        pytest.param(table(b"\x01kf" + pack(">f", float("inf"))), id="short infinity"),
    ],
)
def test_what_rabbitmq_cannot_read_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedTable):
        read_table(data)


def test_fields_that_end_after_the_data_are_malformed() -> None:
    with pytest.raises(MalformedTable):
        read_fields(b"\x01aV", 0, 4)


def test_every_cut_table_is_malformed() -> None:
    data = write_table({f"{number}": value for number, (_, value) in enumerate(FIELDS)})

    for size in range(len(data)):
        with pytest.raises(MalformedTable):
            read_table(data[:size])


def tables(levels: int) -> bytes:
    """Tables in tables."""
    octets = b""
    for _ in range(levels):
        octets = b"\x01kF" + pack(">I", len(octets)) + octets
    return octets


def test_tables_nest_to_a_limit() -> None:
    read_table(table(tables(TABLE_DEPTH_MAX - 1)))
    with pytest.raises(MalformedTable, match="nested deeper than 64"):
        read_table(table(tables(TABLE_DEPTH_MAX)))


def test_arrays_nest_to_the_same_limit() -> None:
    read_table(table(b"\x01k" + arrays(TABLE_DEPTH_MAX - 1)))
    with pytest.raises(MalformedTable, match="nested deeper than 64"):
        read_table(table(b"\x01k" + arrays(TABLE_DEPTH_MAX)))
    with pytest.raises(MalformedTable, match="nested deeper than 64"):
        read_table(table(b"\x01k" + arrays(26_000)))


def test_what_argument_makes_can_be_written_and_read() -> None:
    value: object = "deepest"
    for _ in range(TABLE_DEPTH_MAX - 1):
        value = {"n" * 255: value}

    assert read_table(write_table({"k": argument(value)}))[0] == {"k": argument(value)}


def test_a_value_that_does_not_fit_its_kind_is_our_mistake() -> None:
    with pytest.raises(TypeError):
        write_table({"k": Argument("table", 5)})
