"""Recordings: conversations in files, one event a line of JSON (JSONL), after a line that names the format.

{"format": "amqpy-conversation", "version": 1}
{"time": 1700000000.5, "connection": 1, "event": "opened", "name": "127.0.0.1:4711 -> 127.0.0.1:5672"}
{"time": …, "connection": 1, "from": "client", "channel": 1, "method": "basic.publish",
 "arguments": {"routing_key": "q"}, "properties": {"delivery_mode": 2}, "body": "hello"}

Arguments that are empty, 0 or false are left out. Tables are as `json_values` tells. A body that is not UTF-8 is
`body_base64`; `body_size` tells how large it was, if it was cut. Passwords are not written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from amqpy_broker.testing.conversation.events import (
    Content,
    Ended,
    Event,
    Heartbeat,
    Opened,
    ProtocolHeader,
    Said,
    Unreadable,
)
from amqpy_broker.testing.conversation.frames import Direction
from amqpy_broker.testing.conversation.json_values import dump_octets, dump_table, load_octets, load_table
from amqpy_broker.testing.conversation.methods import MethodValue, argument_kinds, nothing_of
from amqpy_broker.testing.conversation.properties import PropertyValue
from amqpy_broker.testing.conversation.secrets import without_secrets

FORMAT: Final = "amqpy-conversation"
VERSION: Final = 1
# A day of a busy test suite; a disk must not fill up because somebody forgot a recorder.
FILE_MAX_BYTES: Final = 1024 * 1024 * 1024
BODY_MAX_BYTES: Final = 1024 * 1024


class RecordingError(ValueError):
    """A file is not a recording that can be read. The text tells the file and the line."""


# Writing --------------------------------------------------------------------------------------------------------------


class Recorder:
    """Writes events into a file, until the file is as large as it may become. Each event is there at once.

    Args:
        path: the file; what was in it is lost.
        file_max_bytes: no event is written that would make the file larger.
        body_max_bytes: bodies are cut to this.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(
        self, path: str | Path, *, file_max_bytes: int = FILE_MAX_BYTES, body_max_bytes: int = BODY_MAX_BYTES
    ) -> None:
        self._file = Path(path).open("w", encoding="ascii", buffering=1)  # noqa: SIM115 - `close` closes it
        self._left = file_max_bytes
        self._body_max_bytes = body_max_bytes
        self.is_full = False
        self._write({"format": FORMAT, "version": VERSION})

    def record(self, event: Event) -> None:
        """Write an event, if there is room."""
        if not self.is_full and not self._file.closed:
            self._write(dump_event(event, body_max_bytes=self._body_max_bytes))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, document: Mapping[str, object]) -> None:
        line = json.dumps(document, separators=(",", ":")) + "\n"
        self._left -= len(line)
        if self._left < 0:
            self.is_full = True
            line = json.dumps({"event": "full"}) + "\n"
        self._file.write(line)


def dump_event(event: Event, *, body_max_bytes: int = BODY_MAX_BYTES) -> dict[str, object]:
    """Return an event as JSON holds it."""
    document: dict[str, object] = {"time": event.time_s, "connection": event.connection}
    match event:
        case Opened():
            return {**document, "event": "opened", "name": event.name}
        case Ended():
            return {**document, "event": "ended", "how": event.how}
    document["from"] = event.direction.value
    match event:
        case Heartbeat():
            return {**document, "event": "heartbeat"}
        case ProtocolHeader():
            return {**document, "event": "protocol-header", "octets": dump_octets(event.octets)}
        case Unreadable():
            what = {"channel": event.channel, "octets": dump_octets(event.octets), "size": event.size}
            return {**document, "event": "unreadable", **what, "reason": event.reason}
        case Said():
            return {**document, **_dump_method(event), **_dump_content(event.content, body_max_bytes)}


def _dump_method(event: Said) -> dict[str, object]:
    arguments: dict[str, object] = {}
    kinds = argument_kinds(event.name)
    for name, value in without_secrets(event.name, event.arguments).items():
        if value == nothing_of(kinds[name]):
            continue
        if isinstance(value, Mapping):
            arguments[name] = dump_table(value)
        elif isinstance(value, bytes):
            arguments[name] = _dump_text(value)
        else:
            arguments[name] = value
    return {"channel": event.channel, "method": event.name, **({"arguments": arguments} if arguments else {})}


def _dump_text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _dump_content(content: Content | None, body_max_bytes: int) -> dict[str, object]:
    if content is None:
        return {}
    document: dict[str, object] = {}
    if content.properties:
        document["properties"] = {
            name: dump_table(value) if isinstance(value, Mapping) else value
            for name, value in content.properties.items()
        }
    body = content.body[:body_max_bytes]
    try:
        document["body"] = body.decode()
    except UnicodeDecodeError:
        document["body_base64"] = dump_octets(body)
    if len(body) < content.body_size:
        document["body_size"] = content.body_size
    return document


# Reading --------------------------------------------------------------------------------------------------------------


class RecordingReader:
    """Reads events, line by line, of anything that has lines.

    `cut_short` tells at the end why this may not be all that happened; it is empty if nothing is known to lack.
    """

    def __init__(self, lines: Iterable[str], name: str) -> None:
        self.cut_short = ""
        self._lines = lines
        self._name = name

    def __iter__(self) -> Iterator[Event]:
        """Read on.

        Raises:
            RecordingError: this is not a recording, or one of a version that we do not know.
        """
        number = 0
        for number, line in enumerate(self._lines, 1):
            try:
                document = json.loads(line)
                if number == 1:
                    _check_head(document)
                elif document == {"event": "full"}:
                    self.cut_short = "the recorder's limit of size was reached"
                else:
                    yield load_event(document)
            except ValueError as failure:
                if number > 1 and not line.endswith("\n"):
                    self.cut_short = "the last line is not complete"
                    return
                raise RecordingError(f"{self._name}, line {number}: {failure}") from None
        if not number:
            raise RecordingError(f"{self._name} is empty")


def _check_head(document: object) -> None:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"this is no recording: a recording begins with the format {FORMAT}")
    if document.get("version") != VERSION:
        raise ValueError(f"version {document.get('version')} of recordings is not known here, {VERSION} is")


@dataclass(frozen=True, slots=True)
class Recording:
    """What is in a file. `cut_short` is that of `RecordingReader`."""

    events: list[Event]
    cut_short: str = ""


def load_recording(path: str | Path) -> Recording:
    """Read a file.

    Raises:
        RecordingError: it is not a recording, or one of a version that we do not know.
        OSError: it cannot be read.
    """
    # What is no text is no recording, and is told with its line.
    with Path(path).open(encoding="utf-8", errors="replace") as file:
        reader = RecordingReader(file, str(path))
        return Recording(list(reader), reader.cut_short)


def load_event(document: object) -> Event:
    """Undo `dump_event`.

    Raises:
        ValueError: it is no such thing.
    """
    match document:
        case {"time": int() | float() as time_s, "connection": int(connection)} if isinstance(document, dict):
            return _load_event(float(time_s), connection, document)
        case _:
            raise ValueError("an event has a time and a connection")


def _load_event(time_s: float, connection: int, document: Mapping[str, object]) -> Event:
    match document:
        case {"event": "opened", "name": str(name)}:
            return Opened(time_s, connection, name)
        case {"event": "ended", "how": str(how)}:
            return Ended(time_s, connection, how)
        case {"from": "client" | "server" as side, **rest}:
            return _load_said(time_s, connection, Direction(side), rest)
        case _:
            raise ValueError("it is said by the client or by the server, or opened, or ended")


def _load_said(time_s: float, connection: int, direction: Direction, document: Mapping[str, object]) -> Event:
    match document:
        case {"event": "heartbeat"}:
            return Heartbeat(time_s, connection, direction)
        case {"event": "protocol-header", "octets": octets}:
            return ProtocolHeader(time_s, connection, direction, load_octets(octets))
        case {"event": "unreadable", "channel": int(channel), "octets": octets, "size": int(size), "reason": str(why)}:
            return Unreadable(time_s, connection, direction, channel, load_octets(octets), size, why)
        case {"method": str(name), "channel": int(channel), **rest}:
            arguments = _load_arguments(name, rest.get("arguments", {}))
            return Said(time_s, connection, direction, channel, name, arguments, _load_content(rest))
        case _:
            raise ValueError("there is no such event")


def _load_arguments(method: str, document: object) -> dict[str, MethodValue]:
    kinds = argument_kinds(method)
    if not isinstance(document, dict) or document.keys() - kinds.keys():
        raise ValueError(f"{method} has no such arguments as {document!r}")
    return {
        name: _load_argument(kind, document[name]) if name in document else nothing_of(kind)
        for name, kind in kinds.items()
    }


def _load_argument(kind: str, document: object) -> MethodValue:
    if kind == "table":
        return load_table(document)
    if isinstance(document, str):
        return document.encode("utf-8", "surrogateescape") if kind in ("longstr", "octets") else document
    if isinstance(document, int):
        return document
    raise ValueError(f"no {kind} is {document!r}")


def _load_content(document: Mapping[str, object]) -> Content | None:
    match document:
        case {"body": str(text)}:
            body = text.encode()
        case {"body_base64": octets}:
            body = load_octets(octets)
        case _:
            return None
    size = document.get("body_size", len(body))
    if not isinstance(size, int):
        raise ValueError(f"no body is {size!r} octets large")
    return Content(_load_properties(document.get("properties", {})), body, size)


def _load_properties(document: object) -> dict[str, PropertyValue]:
    if not isinstance(document, dict):
        raise ValueError(f"{document!r} is no table of properties")
    properties: dict[str, PropertyValue] = {}
    for name, value in document.items():
        if name == "headers":
            properties[name] = load_table(value)
        elif isinstance(value, int | str):
            properties[name] = value
        else:
            raise ValueError(f"no property is {value!r}")
    return properties
