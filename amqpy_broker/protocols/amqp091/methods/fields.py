"""How handlers get at the fields of a method: the shape that their table promises, checked."""

from typing import TypeVar

from pamqp import base

from amqpy_broker.core.names import without_line_breaks
from amqpy_broker.protocols.amqp091.codec import Method

Shape = TypeVar("Shape", bound=base.Frame)


def fields(method: Method, shape: type[Shape]) -> Shape:
    """Return the method's fields as what they are."""
    assert isinstance(method.frame, shape)
    return method.frame


def name(text: str) -> str:
    """Return a name of a queue or an exchange as the broker keeps it."""
    return without_line_breaks(text)
