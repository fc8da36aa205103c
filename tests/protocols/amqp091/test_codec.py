"""Methods to and from the wire: every method that pamqp knows, and methods that are none."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import base, commands, frame
from pamqp.commands import Basic, Connection, Exchange, Queue

from amqpy_broker.core.arguments import Argument, arguments
from amqpy_broker.core.errors import FrameError
from amqpy_broker.protocols.amqp091.codec import (
    ACCESS_REQUEST,
    Undecodable,
    decode_method,
    encode_method,
    method_frame,
    method_index,
    short_string,
)

SHAPES = tuple(commands.INDEX_MAPPING.values())
every_method = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)

VALUES: dict[str, st.SearchStrategy[object]] = {
    "bit": st.booleans(),
    "octet": st.integers(0, 2**8 - 1),
    "short": st.integers(0, 2**16 - 1),
    "long": st.integers(0, 2**32 - 1),
    "longlong": st.integers(0, 2**64 - 1),
    "shortstr": st.text(max_size=60).filter(lambda text: len(text.encode()) <= 255),
    "longstr": st.text(max_size=300),
    "table": st.dictionaries(st.text(min_size=1, max_size=5), st.integers() | st.text(max_size=9), max_size=3).map(
        lambda values: arguments({name: v if isinstance(v, str) else v % 2**31 for name, v in values.items()})
    ),
}


def fields(shape: type[base.Frame]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.tuples(*(VALUES[shape.amqp_type(name)] for name in shape.attributes()))


def example(shape: type[base.Frame]) -> bytes:
    """Write a method in which every field holds something."""
    values = {"bit": True, "shortstr": "name", "longstr": "long", "table": {"key": Argument("longstr", "value")}}
    return encode_method(shape, *(values.get(shape.amqp_type(name), 1) for name in shape.attributes()))


@given(st.sampled_from(SHAPES).flatmap(lambda shape: st.tuples(st.just(shape), fields(shape))))
def test_a_written_method_reads_as_it_was(shape_and_values: tuple[type[base.Frame], tuple[object, ...]]) -> None:
    shape, values = shape_and_values

    method = decode_method(encode_method(shape, *values))

    assert (method.index, type(method.frame)) == (shape.index, shape)
    for name, value in zip(shape.attributes(), values, strict=True):
        kind = shape.amqp_type(name)
        read = method.arguments if kind == "table" else getattr(method.frame, name)
        assert read == (value.encode() if kind == "longstr" and isinstance(value, str) else value)


@every_method
@pytest.mark.filterwarnings("ignore:This command is deprecated")
def test_pamqp_reads_what_we_write(shape: type[base.Frame]) -> None:
    _, channel, read = frame.unmarshal(method_frame(7, shape, *_plain_values(shape)))

    assert (channel, type(read)) == (7, shape)
    for name, value in zip(shape.attributes(), _plain_values(shape), strict=True):
        assert getattr(read, name) == value


def _plain_values(shape: type[base.Frame]) -> list[object]:
    """What pamqp, too, takes for these fields: it insists on the values that the specification reserves."""
    values: dict[str, object] = {"bit": False, "shortstr": "", "longstr": "long", "table": {}}
    reserved = {"exchange_type": "direct", "virtual_host": "/", "channel_id": "0", "queue": "q"}
    return [
        reserved.get(name, 0 if name == "ticket" else values.get(shape.amqp_type(name), 1))
        for name in shape.attributes()
    ]


@every_method
def test_a_truncated_method_is_refused_wherever_it_ends(shape: type[base.Frame]) -> None:
    payload = example(shape)

    for size in range(4, len(payload)):
        with pytest.raises(FrameError, match="cannot decode"):
            decode_method(payload[:size])


@every_method
def test_a_method_with_octets_to_spare_is_refused(shape: type[base.Frame]) -> None:
    with pytest.raises(FrameError, match="cannot decode"):
        decode_method(example(shape) + b"\x00")


@given(st.sampled_from(SHAPES), st.binary(max_size=60))
def test_any_octets_are_a_method_or_an_error(shape: type[base.Frame], octets: bytes) -> None:
    try:
        method = decode_method(shape.index.to_bytes(4, "big") + octets)
    except (FrameError, Undecodable):
        return

    assert method.index == shape.index


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x00\x3c\x00"])
def test_less_than_a_class_and_a_method_is_no_method(payload: bytes) -> None:
    assert method_index(payload) == 0
    with pytest.raises(Undecodable):
        decode_method(payload)


def test_numbers_that_no_method_has_are_told() -> None:
    with pytest.raises(Undecodable, match=r"unknown method 60\.9999"):
        decode_method((60 << 16 | 9999).to_bytes(4, "big"))


def test_a_request_for_a_ticket_is_known_though_pamqp_is_too_young_for_it() -> None:
    payload = ACCESS_REQUEST.to_bytes(4, "big") + b"\x05/data\x00"

    assert decode_method(payload).index == ACCESS_REQUEST


def test_class_and_method_are_told_apart() -> None:
    method = decode_method(example(Queue.Bind))

    assert method.index == 50 << 16 | 20


def test_integers_are_unsigned() -> None:
    method = decode_method(encode_method(Basic.Nack, 2**64 - 1, False, False))

    assert isinstance(method.frame, Basic.Nack)
    assert method.frame.delivery_tag == 2**64 - 1


def test_bits_share_an_octet_from_the_lowest_on() -> None:
    flags = [encode_method(Exchange.Declare, 0, "", "", *(at == which for at in range(5)), {})[8] for which in range(5)]

    assert flags == [1, 2, 4, 8, 16]
    assert all(later == 2 * earlier for earlier, later in pairwise(flags))


def test_types_in_tables_survive() -> None:
    table = {"a": Argument("short", 5), "b": Argument("byte", 5), "c": Argument("long", 5)}

    assert decode_method(encode_method(Queue.Bind, 0, "q", "x", "", False, table)).arguments == table


def test_a_name_that_pamqp_refuses_is_read() -> None:
    method = decode_method(encode_method(Queue.Delete, 0, 'Ünïcode name, with "anything"!', False, False, False))

    assert isinstance(method.frame, Queue.Delete)
    assert method.frame.queue == 'Ünïcode name, with "anything"!'


def test_a_name_that_is_not_utf_8_is_refused() -> None:
    payload = encode_method(Queue.Delete, 0, "q", False, False, False).replace(b"\x01q", b"\x01\xff")

    with pytest.raises(FrameError):
        decode_method(payload)


def test_a_routing_key_may_be_any_octets() -> None:
    payload = encode_method(Basic.Publish, 0, "", "q", False, False).replace(b"\x01q", b"\x01\xff")

    method = decode_method(payload)

    assert isinstance(method.frame, Basic.Publish)
    assert short_string(method.frame.routing_key) == b"\x01\xff"


def test_a_text_that_is_too_long_ends_in_three_dots() -> None:
    written = encode_method(Connection.Close, 541, "x" * 300, 0, 0)

    assert written[6:7] == b"\xff"
    assert written[7:262] == b"x" * 252 + b"..."


def test_a_text_of_255_octets_is_not_cut() -> None:
    assert short_string("x" * 255) == b"\xff" + b"x" * 255
