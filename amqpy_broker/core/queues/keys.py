"""Values of headers as keys: deduplication, last-value queues and message groups tell messages apart by them."""

from hashlib import blake2b
from typing import Final

from amqpy_broker.core.arguments import ArgumentValue, octets_of
from amqpy_broker.core.message import Message

# Longer keys are kept as their hash, so that a client cannot fill the memory with them.
_KEY_MAX_BYTES: Final = 64


def header_key(message: Message, header: str) -> bytes | None:
    """Read a header as a key; None if the message does not have it, or it holds a table, an array or nothing.

    Equal texts are equal keys whatever their type on the wire, and so are equal numbers; a text is never a number.
    """
    argument = message.headers.get(header)
    key = None if argument is None else _octets(argument.value)
    if key is None or len(key) <= _KEY_MAX_BYTES:
        return key
    # One octet longer than any key that is kept as it is.
    return blake2b(key, digest_size=_KEY_MAX_BYTES).digest() + b"#"


def _octets(value: ArgumentValue) -> bytes | None:
    match value:
        case str():
            return b'"' + octets_of(value)
        case bytes():
            return b'"' + value
        case None | dict() | list():
            return None
        case _:
            return repr(value).encode()
