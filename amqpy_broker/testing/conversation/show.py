"""Events as lines for people: one event, one line.

12:01:02.345 #3.1 client -> basic.publish exchange='orders' routing_key='new' mandatory (delivery_mode=2) {"id": 7}

`#3.1` is connection 3, channel 1. Arguments that say nothing are left out, bodies are cut, passwords are hidden.
"""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Final

from amqpy_broker.core.arguments import plain
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
from amqpy_broker.testing.conversation.methods import METHOD_NAMES, MethodArguments, MethodValue
from amqpy_broker.testing.conversation.properties import PropertyValue
from amqpy_broker.testing.conversation.secrets import without_secrets

BODY_SHOWN_CHARACTERS: Final = 200
_VALUE_SHOWN_CHARACTERS: Final = 200
_OCTETS_SHOWN: Final = 24
# Arguments that nobody uses any more.
_DEPRECATED: Final = frozenset(
    ("ticket", "capabilities", "insist", "known_hosts", "out_of_band", "channel_id", "cluster_id")
)
# Of a close: 0 if nothing that the other side said caused it.
_CAUSES: Final = frozenset(("class_id", "method_id"))
_CLOSES: Final = frozenset(("connection.close", "channel.close"))
_SUCCESS: Final = 200

_DIM, _RED, _GREEN, _CYAN, _RESET = "\x1b[2m", "\x1b[1;31m", "\x1b[32m", "\x1b[36m", "\x1b[0m"


class Printer:
    """Makes lines of events.

    Args:
        colours: whether a terminal will show them.
        zone: the time zone of the times; by default the machine's.
        body_characters: how much of a body is shown.
    """

    def __init__(
        self, *, colours: bool = False, zone: tzinfo | None = None, body_characters: int = BODY_SHOWN_CHARACTERS
    ) -> None:
        self._colours = colours
        self._zone = zone
        self._body_characters = body_characters

    def line(self, event: Event) -> str:
        """Show one event."""
        moment = datetime.fromtimestamp(event.time_s, self._zone)
        time = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
        return f"{self._painted(time, _DIM)} {self._told(event)}"

    def _told(self, event: Event) -> str:
        match event:
            case Opened():
                return self._painted(f"#{event.connection} opened {event.name}".rstrip(), _DIM)
            case Ended():
                return self._painted(f"#{event.connection} ended {event.how}".rstrip(), _DIM)
            case Heartbeat():
                return self._painted(f"{_who(event)} heartbeat", _DIM)
            case ProtocolHeader():
                return f"{_who(event)} {_protocol(event.octets)}"
            case Unreadable():
                text = f"!! cannot be read: {event.reason}"
                return f"{_who(event)} {self._painted(text, _RED)} {_octets(event.octets, event.size)}"
            case Said():
                return self._said(event)

    def _said(self, event: Said) -> str:
        return f"{_who(event)} {self.what_is_said(event)}"

    def what_is_said(self, event: Said) -> str:
        """Show a method and its message, without who says it."""
        arguments = without_secrets(event.name, event.arguments)
        refusal = _refusal(event.name, arguments)
        if refusal:
            words = [self._painted(f"!! {event.name} {refusal}", _RED)]
            arguments = {name: arguments[name] for name in ("exchange", "routing_key") if name in arguments}
        else:
            words = [self._painted(event.name, _GREEN if event.content is not None else _CYAN)]
        words += [_argument(name, value) for name, value in arguments.items() if _says_something(name, value)]
        if event.content is not None:
            words += self._content(event.content)
        return " ".join(words)

    def _content(self, content: Content) -> list[str]:
        properties = " ".join(_property(name, value) for name, value in content.properties.items())
        return [*([f"({properties})"] if properties else []), self._body(content)]

    def _body(self, content: Content) -> str:
        if not content.body_size:
            return self._painted("no body", _DIM)
        text = _printable(content.body, content.is_cut)
        if text is None:
            return _octets(content.body, content.body_size)
        if len(text) <= self._body_characters and not content.is_cut:
            return text
        return f"{text[: self._body_characters]}… {content.body_size} octets"

    def _painted(self, text: str, colour: str) -> str:
        return f"{colour}{text}{_RESET}" if self._colours else text


def show(event: Event) -> str:
    """Show one event as a line without colours."""
    return Printer().line(event)


def what_is_said(event: Said) -> str:
    """Show a method and its message without colours, and without who says it."""
    return Printer().what_is_said(event)


def _who(event: Said | Heartbeat | ProtocolHeader | Unreadable) -> str:
    channel = event.channel if isinstance(event, Said | Unreadable) else 0
    where = f"#{event.connection}.{channel}" if channel else f"#{event.connection}"
    return f"{where} {event.direction.value} ->"


def _protocol(octets: bytes) -> str:
    return f"AMQP {'-'.join(str(octet) for octet in octets[5:])}"


def _refusal(method: str, arguments: MethodArguments) -> str:
    """Tell why something is refused, if it is: code, text and what caused it."""
    code, text = arguments.get("reply_code"), arguments.get("reply_text")
    if not isinstance(code, int) or not isinstance(text, str) or code == _SUCCESS:
        return ""
    return f"{code} {_line_of(text)}{_cause(arguments) if method in _CLOSES else ''}"


def _cause(arguments: MethodArguments) -> str:
    class_id, method_id = arguments.get("class_id"), arguments.get("method_id")
    if not isinstance(class_id, int) or not isinstance(method_id, int) or not class_id:
        return ""
    return f" (caused by {METHOD_NAMES.get(class_id << 16 | method_id, f'method {class_id}.{method_id}')})"


def _says_something(name: str, value: MethodValue) -> bool:
    if name in _DEPRECATED or value is False or value is None:
        return False
    if name in _CAUSES and not value:
        return False
    return not isinstance(value, Mapping) or bool(value)


def _argument(name: str, value: MethodValue) -> str:
    if value is True:
        return name
    if isinstance(value, bytes):
        return f"{name}={_cut(repr(value.decode('utf-8', 'backslashreplace')))}"
    return _property(name, value if value is not None else "")


def _property(name: str, value: PropertyValue) -> str:
    shown = plain(value) if isinstance(value, Mapping) else value
    return f"{name}={_cut(repr(shown))}"


def _cut(text: str) -> str:
    return text if len(text) <= _VALUE_SHOWN_CHARACTERS else f"{text[:_VALUE_SHOWN_CHARACTERS]}…"


def _printable(body: bytes, is_cut: bool) -> str | None:
    """Return a body as text that fits on a line; None if it is not text."""
    try:
        text = body.decode()
    except UnicodeDecodeError as failure:
        # The cut may have gone through a character.
        if not is_cut or len(body) - failure.start > 3:
            return None
        text = body[: failure.start].decode()
    line = _line_of(text)
    # JSON shows what is text and what is a number; anything else gets quotes.
    return line if line[:1] in ("{", "[") else f"'{line}'"


def _line_of(text: str) -> str:
    """Make one line of a text: what would break it, or speak to a terminal, is escaped."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _octets(octets: bytes, size: int) -> str:
    more = "…" if size > _OCTETS_SHOWN else ""
    return f"0x{octets[:_OCTETS_SHOWN].hex()}{more} {size} octets"
