"""Sender-selected distribution: the headers CC and BCC name more routing keys (https://www.rabbitmq.com/docs/sender-selected).

Rule 1: both are arrays; what is no text in them counts for nothing.
Rule 2: whatever else they are is refused.
Rule 3: BCC is taken out of a message before anybody else sees it.
"""

from typing import Final

from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.erlang_terms import Atom, format_p_at
from amqpy_broker.core.errors import PreconditionFailed

CC: Final = "CC"
BCC: Final = "BCC"
_REFUSAL: Final = "invalid message: "


def copies_of(headers: Arguments) -> tuple[str, ...]:
    """Read the routing keys that a message names beside its own.

    Raises:
        PreconditionFailed: a header is no array.
    """
    return (*_keys(headers, CC), *_keys(headers, BCC))


def _keys(headers: Arguments, name: str) -> list[str]:
    argument = headers.get(name)
    if argument is None:
        return []
    if not isinstance(argument.value, list):
        reason = (Atom("unacceptable_type_in_header"), name, Atom(argument.kind))
        raise PreconditionFailed(_REFUSAL + format_p_at(reason, len(_REFUSAL)))
    return [key.value for key in argument.value if key.kind == "longstr" and isinstance(key.value, str)]
