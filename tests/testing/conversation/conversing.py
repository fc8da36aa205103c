"""Conversations to listen to: between a client of the tests and a broker, without sockets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from amqpy_broker.testing.conversation.decoder import Conversation
from amqpy_broker.testing.conversation.events import Event, Said, Unreadable
from amqpy_broker.testing.conversation.frames import Direction
from tests.wire import Client, ManualClock, handshake

Turn = tuple[Direction, bytes]
TO_SERVER, TO_CLIENT = Direction.TO_SERVER, Direction.TO_CLIENT


def converse(*steps: bytes, client: Client | None = None) -> list[Turn]:
    """Say things to a broker, after the handshake; return what both sides said."""
    client = client or Client()
    turns: list[Turn] = []
    for octets in (*handshake(), *steps):
        turns.append((TO_SERVER, octets))
        client.feed(octets)
        said = b""
        while client.output.pieces:
            said += client.connection.data_to_send()
        if said:
            turns.append((TO_CLIENT, said))
    return turns


def hear(turns: Iterable[Turn], *, connection: int = 1) -> list[Event]:
    """Listen to a conversation at one moment; return all that happened in it, but for its beginning."""
    conversation = Conversation(ManualClock(), connection)
    events: list[Event] = []
    for direction, octets in turns:
        events += conversation.heard(direction, octets)
    return [*events, *conversation.ended("closed")]


def said(events: Iterable[Event]) -> list[Said]:
    """Pick the methods."""
    return [event for event in events if isinstance(event, Said)]


def after_the_handshake(events: Iterable[Event]) -> list[Said]:
    """Pick the methods that came after connection.open-ok."""
    methods = said(events)
    names = [event.name for event in methods]
    return methods[names.index("connection.open-ok") + 1 :]


def joined(events: Sequence[Event]) -> list[Event]:
    """Put together neighbours that cannot be read and were cut only by how they came."""
    result: list[Event] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, Unreadable) and isinstance(last, Unreadable) and last.reason == event.reason:
            together = replace(last, octets=last.octets + event.octets, size=last.size + event.size)
            result[-1] = replace(together, octets=together.octets[:4096])
        else:
            result.append(event)
    return result
