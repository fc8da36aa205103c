"""One event is one line that a person can read."""

from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic, Channel, Connection, Queue

from amqpy_broker.testing.conversation.events import Content, Said
from amqpy_broker.testing.conversation.frames import Direction
from amqpy_broker.testing.conversation.show import Printer
from tests.testing.conversation.conversing import TO_SERVER, converse, hear
from tests.wire import content, frame, handshake, method, publish


def lines(*octets: bytes, colours: bool = False) -> list[str]:
    """What is shown of things that a client says, without the end."""
    printer = Printer(colours=colours, zone=UTC)
    return [printer.line(event) for event in hear([(TO_SERVER, one) for one in octets], connection=3)[:-1]]


def line(octets: bytes, *, colours: bool = False) -> str:
    (shown,) = lines(octets, colours=colours)
    return shown


TIME = "22:30:00.000"


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (b"AMQP\x00\x00\x09\x01", "#3 client -> AMQP 0-9-1"),
        (frame(8, 0), "#3 client -> heartbeat"),
        (
            publish(2, "orders", "new", b"hello", mandatory=True, delivery_mode=2, headers={"a": [1]}),
            "#3.2 client -> basic.publish exchange='orders' routing_key='new' mandatory"
            " (headers={'a': [1]} delivery_mode=2) 'hello'",
        ),
        (
            publish(1, "", "q", b'{"id":\n 7}'),
            "#3.1 client -> basic.publish exchange='' routing_key='q' {\"id\":\\n 7}",
        ),
        (publish(1, "", "q"), "#3.1 client -> basic.publish exchange='' routing_key='q' no body"),
        (
            publish(1, "", "q", b"\xff\x00"),
            "#3.1 client -> basic.publish exchange='' routing_key='q' 0xff00 2 octets",
        ),
        (
            publish(1, "", "q", "é".encode() * 500),
            f"#3.1 client -> basic.publish exchange='' routing_key='q' '{'é' * 199}… 1000 octets",
        ),
        (
            method(1, Queue.Declare, queue="q", durable=True, arguments={"x-max-length": 3}),
            "#3.1 client -> queue.declare queue='q' durable arguments={'x-max-length': 3}",
        ),
        (
            method(1, Channel.Close, reply_code=404, reply_text="NOT_FOUND - no queue 'q'", class_id=50, method_id=10),
            "#3.1 client -> !! channel.close 404 NOT_FOUND - no queue 'q' (caused by queue.declare)",
        ),
        (
            method(0, Connection.Close, reply_code=200, reply_text="bye"),
            "#3 client -> connection.close reply_code=200 reply_text='bye'",
        ),
        (frame(1, 1, b"\x00\x3c\x27\x0f"), "#3.1 client -> !! cannot be read: unknown 60.9999: unknown method 60.9999"
         " 0x01000100000004003c270fce 12 octets"),
    ],
)  # fmt: skip
def test_it_is_shown(octets: bytes, shown: str) -> None:
    assert line(octets) == f"{TIME} {shown}"


def test_a_return_stands_out_with_its_code() -> None:
    returned = method(1, Basic.Return, reply_code=312, reply_text="NO_ROUTE", exchange="", routing_key="q")
    shown = line(returned + content(1, b"x"))
    assert shown == f"{TIME} #3.1 client -> !! basic.return 312 NO_ROUTE exchange='' routing_key='q' 'x'"


def test_passwords_are_hidden() -> None:
    shown = "\n".join(
        lines(*handshake(response="\0user\0secret"), method(0, Connection.UpdateSecret, new_secret="secret"))
    )
    assert "secret'" not in shown
    assert "\\x00user\\x00(hidden)" in shown


def test_colours_are_for_terminals_alone() -> None:
    closed = method(1, Channel.Close, reply_code=404, reply_text="no")
    assert "\x1b" not in line(closed)
    assert "\x1b[1;31m!! channel.close 404 no\x1b[0m" in line(closed, colours=True)


@given(st.binary(max_size=60), st.text(max_size=30), st.integers(0, 60))
def test_nothing_breaks_the_line_or_speaks_to_the_terminal(body: bytes, key: str, more: int) -> None:
    message = Content({"message_id": key}, body, len(body) + more)
    event = Said(0, 1, Direction.TO_SERVER, 1, "basic.publish", {"routing_key": key}, message)
    assert Printer(zone=UTC).line(event).isprintable()


def test_every_line_of_a_conversation_is_one() -> None:
    printer = Printer()
    for event in hear(
        converse(method(1, Channel.Open), method(1, Queue.Declare, queue="q"), publish(1, "", "q", b"\n"))
    ):
        assert printer.line(event).isprintable()
