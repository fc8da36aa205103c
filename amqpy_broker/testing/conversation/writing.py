"""What was said, as bytes again."""

from collections.abc import Iterable
from typing import Final

from amqpy_broker.protocols.amqp091.frames import BODY, ENVELOPE_SIZE, HEADER, pack_frame
from amqpy_broker.testing.conversation.events import Event, Said
from amqpy_broker.testing.conversation.frames import Direction
from amqpy_broker.testing.conversation.methods import write_method
from amqpy_broker.testing.conversation.properties import ContentHead, write_header

FRAME_MAX_DEFAULT: Final = 131_072


def write_said(said: Said, *, frame_max: int = FRAME_MAX_DEFAULT) -> bytes:
    """Write the frames of a method and its message.

    Args:
        said: whole: a message whose body was cut cannot be said again.
        frame_max: the largest frame, its envelope included.

    Raises:
        ValueError: something in it cannot be written.
    """
    frames = [write_method(said.channel, said.name, said.arguments)]
    content = said.content
    if content is not None:
        if content.is_cut:
            raise ValueError(f"of a body of {content.body_size} octets only {len(content.body)} were kept")
        frames.append(
            pack_frame(HEADER, said.channel, write_header(ContentHead(content.body_size, content.properties)))
        )
        step = frame_max - ENVELOPE_SIZE
        for at in range(0, len(content.body), step):
            frames.append(pack_frame(BODY, said.channel, content.body[at : at + step]))
    return b"".join(frames)


def check_can_be_said(events: Iterable[Event], direction: Direction) -> None:
    """Check that what one side said can be said again.

    Raises:
        ValueError: something cannot; the text tells which event it is, counted from 1.
    """
    for number, event in enumerate(events, 1):
        if isinstance(event, Said) and event.direction is direction:
            try:
                write_said(event)
            except ValueError as failure:
                raise ValueError(f"event {number} cannot be said again: {failure}") from None
