"""What is recorded can be read again, exactly, and a file that is none says so."""

from __future__ import annotations

import json
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Channel, Queue

from amqpy_broker.core.arguments import Argument
from amqpy_broker.testing.conversation.events import Content, Event, Opened, Said
from amqpy_broker.testing.conversation.frames import Direction
from amqpy_broker.testing.conversation.json_values import dump_table, load_table
from amqpy_broker.testing.conversation.recording import (
    Recorder,
    RecordingError,
    RecordingReader,
    dump_event,
    load_event,
    load_recording,
)
from tests.conversations import Steps, conversations
from tests.properties.test_tables import tables
from tests.testing.conversation.conversing import TO_SERVER, converse, hear, said
from tests.wire import frame, handshake, method, publish

HEAD = '{"format": "amqpy-conversation", "version": 1}\n'


def recorded(event: Event) -> Event:
    """Write an event as JSON, and read it."""
    return load_event(json.loads(json.dumps(dump_event(event))))


def published(**properties: object) -> Said:
    (event,) = said(hear([(TO_SERVER, publish(1, "", "q", b"body", **properties))]))
    return event


@given(tables)
def test_tables_keep_every_type_in_json(table: dict[str, Argument]) -> None:
    assert load_table(json.loads(json.dumps(dump_table(table)))) == table


@pytest.mark.parametrize(
    ("value", "document"),
    [
        (Argument("longstr", "text"), "text"),
        (Argument("signedint", 5), 5),
        (Argument("long", 2**40), 2**40),
        (Argument("long", 5), {"!long": 5}),
        (Argument("short", 5), {"!short": 5}),
        (Argument("double", 1.0), 1.0),
        (Argument("float", 1.5), {"!float": 1.5}),
        (Argument("timestamp", 7), {"!timestamp": 7}),
        (Argument("decimal", (2, 314)), {"!decimal": [2, 314]}),
        (Argument("binary", b"\xff"), {"!binary": "/w=="}),
        (Argument("longstr", "\udcff"), "\udcff"),
        (Argument("table", {"!short": Argument("signedint", 5)}), {"!table": {"!short": 5}}),
    ],
)
def test_only_types_that_json_would_not_tell_are_told(value: Argument, document: object) -> None:
    assert dump_table({"x": value}) == {"x": document}
    assert load_table(json.loads(json.dumps({"x": document}))) == {"x": value}


@given(conversations(max_size=10))
def test_a_conversation_survives_recording(steps: Steps) -> None:
    for event in hear(converse(*steps))[2:]:
        if not isinstance(event, Said) or event.name != "connection.start-ok":
            assert recorded(event) == event


def test_a_recording_holds_what_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    events = [
        Opened(1.5, 7, "here -> there"),
        *hear([(TO_SERVER, method(1, Channel.Open) + frame(8, 0) + b"junkjunk")]),
    ]
    with Recorder(path) as recorder:
        for event in events:
            recorder.record(event)
    recording = load_recording(path)
    assert recording.events == events
    assert recording.cut_short == ""


def test_lines_are_short_and_natural() -> None:
    event = said(
        hear([(TO_SERVER, method(1, Queue.Declare, queue="q", arguments={"x-max-length": Argument("signedint", 3)}))])
    )
    assert dump_event(event[0]) == {
        "time": 1_700_001_000.0,
        "connection": 1,
        "from": "client",
        "channel": 1,
        "method": "queue.declare",
        "arguments": {"queue": "q", "arguments": {"x-max-length": 3}},
    }


@pytest.mark.parametrize("body", [b"", b"text", "é".encode(), b"\xff\x00", b"\xed\xb3\xbf"])
def test_bodies_are_text_if_they_can(body: bytes) -> None:
    event = Said(1.0, 1, Direction.TO_SERVER, 1, "basic.publish", published().arguments, Content({}, body, len(body)))
    assert recorded(event) == event


def test_bodies_are_cut_and_tell_it(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r", body_max_bytes=3) as recorder:
        recorder.record(published())
    (event,) = said(load_recording(tmp_path / "r").events)
    assert event.content == Content({}, b"bod", 4)


def test_passwords_are_not_recorded(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r") as recorder:
        for event in hear([(TO_SERVER, b"".join(handshake(response="\0user\0secret")))]):
            recorder.record(event)
    assert "secret" not in (tmp_path / "r").read_text()


def test_a_file_does_not_grow_beyond_its_limit_and_tells_it(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r", file_max_bytes=1000) as recorder:
        for _ in range(100):
            recorder.record(published())
        assert recorder.is_full
    assert (tmp_path / "r").stat().st_size <= 1000 + 20
    recording = load_recording(tmp_path / "r")
    assert 0 < len(recording.events) < 100
    assert recording.cut_short == "the recorder's limit of size was reached"


def test_each_event_is_in_the_file_at_once(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r") as recorder:
        recorder.record(published())
        assert len(load_recording(tmp_path / "r").events) == 1


# Files that are none --------------------------------------------------------------------------------------------------


def test_a_last_line_that_is_not_complete_is_left_out() -> None:
    line = json.dumps(dump_event(published()))
    reader = RecordingReader(StringIO(f"{HEAD}{line}\n{line[:30]}"), "talk")
    assert len(list(reader)) == 1
    assert reader.cut_short == "the last line is not complete"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "talk is empty"),
        ("hello\n", "talk, line 1: "),
        ("{}\n", "talk, line 1: this is no recording"),
        (HEAD.replace("1", "2"), "talk, line 1: version 2 of recordings is not known here, 1 is"),
        (HEAD + "{}\n", "talk, line 2: an event has a time and a connection"),
        (HEAD + '{"time": 1, "connection": 1}\n', "line 2: it is said by the client or by the server"),
        (HEAD + '{"time": 1, "connection": 1, "from": "client"}\n', "line 2: there is no such event"),
        (
            HEAD + '{"time": 1, "connection": 1, "from": "client", "channel": 1, "method": "basic.sing"}\n',
            "line 2: there is no method basic.sing",
        ),
        (
            HEAD + '{"time":1,"connection":1,"from":"client","channel":1,"method":"tx.select","arguments":{"a":1}}\n',
            "line 2: tx.select has no such arguments",
        ),
    ],
)
def test_what_is_no_recording_says_where(text: str, words: str) -> None:
    with pytest.raises(RecordingError, match="talk") as raised:
        list(RecordingReader(StringIO(text), "talk"))
    assert words in str(raised.value)


json_documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(("!short", "!table", "!binary", "!decimal", "a")), inner, max_size=2
    ),
    max_leaves=8,
)  # fmt: skip


@given(
    st.fixed_dictionaries(
        {"time": st.just(1), "connection": st.just(1)},
        optional={
            "event": st.sampled_from(("opened", "ended", "heartbeat", "unreadable", "protocol-header"))
            | json_documents,
            "from": st.sampled_from(("client", "server")) | json_documents,
            "channel": st.just(1) | json_documents,
            "method": st.sampled_from(("basic.publish", "queue.declare")) | json_documents,
            "arguments": st.dictionaries(st.sampled_from(("queue", "arguments")), json_documents) | json_documents,
            "properties": st.dictionaries(st.sampled_from(("headers", "priority")), json_documents) | json_documents,
            "body": json_documents,
            "body_size": json_documents,
            "octets": json_documents,
        },
    )
)
def test_nonsense_is_a_value_error_and_nothing_else(document: dict[str, object]) -> None:
    with suppress(ValueError):
        load_event(document)
