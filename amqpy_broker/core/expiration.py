"""The property `expiration`: a message's own time to live, in milliseconds, as text."""

import re
from typing import Final

from amqpy_broker.core.erlang_terms import Atom, Term, format_p_at
from amqpy_broker.core.errors import PreconditionFailed

# RabbitMQ's ?MAX_EXPIRY_TIMER: ten years.
EXPIRATION_MAX_MS: Final = 315_360_000_000
# What Erlang's string:to_integer/1 takes.
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")


def parse_expiration(text: str) -> int:
    """Read an expiration in milliseconds.

    Raises:
        PreconditionFailed: it is none, with RabbitMQ's text.
    """
    digits = _INTEGER.match(text)
    if digits is None:
        raise _invalid(text, Atom("no_integer"))
    rest = text[digits.end() :]
    if rest:
        raise _invalid(text, (Atom("leftover_string"), rest))
    # A short string has 255 octets at most, so this is quick.
    milliseconds = int(digits[0])
    if milliseconds > EXPIRATION_MAX_MS:
        raise _invalid(text, (Atom("value_too_large"), milliseconds))
    if milliseconds < 0:
        raise _invalid(text, (Atom("value_negative"), milliseconds))
    return milliseconds


def _invalid(text: str, reason: Term) -> PreconditionFailed:
    shown = f"invalid expiration '{text}': "
    return PreconditionFailed(shown + format_p_at(reason, len(shown)))
