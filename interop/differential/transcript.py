"""What a client saw, as lines of text that are the same whenever the broker did the same.

    A.1 > queue.declare queue='q.k3f9' durable
    A.1 < queue.declare-ok queue='q.k3f9' message_count=0 consumer_count=0

`A` is the connection, `1` the channel, `>` sent and `<` received; `!` is a remark of the player. What a server makes up
(names, tags, its own name, the time) is replaced by what can be compared.
"""

from __future__ import annotations

import hashlib
import re
import struct
import time

from interop.differential.tables import Value, show
from interop.differential.wire import SPECS, Content, Method, decode_properties

BODY_SHOWN_MAX = 120
_GENERATED = re.compile(r"amq\.(gen|ctag)-[A-Za-z0-9_-]{20,24}|amq\.rabbitmq\.(reply-to)\.g[A-Za-z0-9_+/=.-]{20,}")
_REPLY_TO = b"amq.rabbitmq.reply-to.g"
# A death's time as a table has it, its key, type and seconds; in bytes, and as it is shown.
_DEATH_TIME = re.compile("(" + b"\x04timeT".hex() + ")([0-9a-f]{16})")
_SHOWN_DEATH_TIME = re.compile(r"(\btime=T:)(\d+)")
NOW_S = 3600
_PROCESS = re.compile(r"<\d+\.\d+\.\d+>")
_UNSPECIFIC = ("cluster_name", "copyright", "information", "platform")


class Transcript:
    """The lines of one scenario."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._placeholders: dict[str, str] = {}

    def add(self, who: str, direction: str, what: str) -> None:
        self.lines.append(f"{who} {direction} {self._normalised(what)}")

    def pause(self, milliseconds: int) -> None:
        self.lines.append(f"- {milliseconds} ms pass")

    def policy(self, name: str, what: str, complaint: str, operators: bool) -> None:
        """Write down that a policy was set or cleared, and what the broker said to that if it refused."""
        self.lines.append(f"- {'operator ' if operators else ''}policy {self._normalised(name)}: {what}")
        self.lines += [f"- refused: {line}" for line in complaint.splitlines()]

    def remark(self, text: str) -> None:
        self.lines.append(f"! {self._normalised(text)}")

    def _normalised(self, text: str) -> str:
        return _PROCESS.sub("<pid>", _GENERATED.sub(self._placeholder, text))

    def _placeholder(self, found: re.Match[str]) -> str:
        """Number generated names by kind in the order in which the client first sees them."""
        if found[0] not in self._placeholders:
            prefix = f"amq.{found[1]}-#" if found[1] else f"amq.rabbitmq.{found[2]}.#"
            number = 1 + sum(shown.startswith(prefix) for shown in self._placeholders.values())
            self._placeholders[found[0]] = f"{prefix}{number}"
        return self._placeholders[found[0]]


def show_sent(name: str, fields: dict[str, Value]) -> str:
    """Return a method as the scenario gave it."""
    shown = [field if value is True else f"{field}={show(value)}" for field, value in fields.items()]
    return " ".join([name, *shown])


def show_received(method: Method, *, framing: bool = False) -> str:
    """Return a method with all its fields, and its content."""
    if method.name in ("channel.close", "connection.close"):
        text = _show_close(method)
    elif method.name == "connection.start":
        text = _show_start(method)
    else:
        text = " ".join([method.name, *_shown_fields(method)])
    if method.content is not None:
        text += " | " + show_content(method.content, framing=framing)
    return text


def _shown_fields(method: Method) -> list[str]:
    """Return all fields but reserved ones; of the bits, those that are set."""
    spec = SPECS.get(method.name)
    bits = {name for name, kind in spec.fields if kind == "bit"} if spec else set()
    shown = []
    for name, value in method.fields.items():
        if name in bits:
            shown += [name] if value else []
        elif name != "ticket":
            shown.append(f"{name}={show(value)}")
    return shown


def _show_close(method: Method) -> str:
    fields = method.fields
    ids = f"({fields['class_id']},{fields['method_id']})"
    left_over = f" left_over={show(fields['left_over'])}" if "left_over" in fields else ""
    return f"{method.name} {fields['reply_code']} {show(fields['reply_text'])} {ids}{left_over}"


def _show_start(method: Method) -> str:
    """Show the server's properties without what names this installation."""
    shown = []
    properties = method.fields["server_properties"]
    assert isinstance(properties, list)
    for key, value in properties:
        if key in _UNSPECIFIC:
            shown.append(f"{key}={value.tag}:…")
        elif key == "version":
            shown.append(f"{key}={value.tag}:{'.'.join(value.value.decode().split('.')[:2])}")
        else:
            shown.append(f"{key}={show(value)}")
    # RabbitMQ gives its mechanisms in another order after every start.
    mechanisms = " ".join(sorted(str(method.fields["mechanisms"]).split()))
    fields = [f"{name}={show(method.fields[name])}" for name in ("version_major", "version_minor", "locales")]
    fields.append(f"mechanisms={show(mechanisms)}")
    return " ".join([method.name, *fields, "server_properties={" + ", ".join(shown) + "}"])


def show_content(content: Content, *, framing: bool = False) -> str:
    """Return body and properties, these both decoded and as the bytes that they came as."""
    class_id, weight = struct.unpack_from(">HH", content.header)
    text = show_body(content.body)
    if content.body_size != len(content.body):
        text += f" (header says {content.body_size} bytes)"
    if (class_id, weight) != (60, 0):
        text += f" (class {class_id} weight {weight})"
    if content.header[12:] != b"\0\0":
        text += f" {show_properties(content.header)} raw {show_raw(content.header[12:])}"
    if framing:
        text += f" in frames of {content.frame_sizes}"
    return text


def show_raw(properties: bytes) -> str:
    """Return properties in hexadecimal without what a server makes up: the time of a death, a name to reply to."""
    start = properties.find(_REPLY_TO)
    if start > 0:
        end = start + properties[start - 1]
        return f"{show_raw(properties[: start - 1])}(reply-to){show_raw(properties[end:])}"
    shown = properties.hex()
    return _DEATH_TIME.sub(lambda found: found[1] + ("(now)" if is_now(int(found[2], 16)) else found[2]), shown)


def is_now(seconds: int) -> bool:
    return abs(seconds - time.time()) < NOW_S


def show_body(body: bytes) -> str:
    if len(body) <= BODY_SHOWN_MAX:
        return show(body)
    return f"{len(body)} bytes sha1:{hashlib.sha1(body).hexdigest()[:12]}"


def show_properties(header: bytes) -> str:
    try:
        properties = decode_properties(header)
    except ValueError as error:
        return f"{{properties: {error}}}"
    shown = "{" + ", ".join(f"{name}={show(value)}" for name, value in properties.items()) + "}"
    return _SHOWN_DEATH_TIME.sub(lambda found: found[1] + ("(now)" if is_now(int(found[2])) else found[2]), shown)
