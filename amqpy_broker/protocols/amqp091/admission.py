"""What a message has to pass before it is routed, and what is changed about it then.

Only messages whose header is `suspect` come here. The first refusal is the one that the client sees, so the order is
RabbitMQ's: size, reply-to, expiration, CC and BCC, user-id, delivery mode.
"""

from typing import Final

from amqpy_broker.core.errors import InternalError, PreconditionFailed
from amqpy_broker.core.exchanges.copies import BCC, copies_of
from amqpy_broker.core.profile import Profile
from amqpy_broker.protocols.amqp091.content import ContentHeader, FramedMessage
from amqpy_broker.protocols.amqp091.direct_reply_to import ReplyConsumer
from amqpy_broker.protocols.amqp091.tables import MalformedTable

_DELIVERY_MODES: Final = frozenset((1, 2))


def passes_limit(header: ContentHeader, profile: Profile) -> bool:
    """Say whether messages with this header will be refused, whatever is in it."""
    return header.body_size > profile.message_size_max or (
        profile.refuses_odd_delivery_modes and header.delivery_mode not in _DELIVERY_MODES
    )


def admit(message: FramedMessage, profile: Profile, user: str, reply_consumer: ReplyConsumer | None) -> FramedMessage:
    """Check a message; return it as it will be routed: without BCC, and with a `reply-to` that replies will find.

    Raises:
        PreconditionFailed: it may not be published, with RabbitMQ's text.
    """
    header = message.header
    if header.body_size > profile.message_size_max:
        raise PreconditionFailed(
            f"message size {header.body_size} is larger than configured max size {profile.message_size_max}"
        )
    if message.wants_direct_reply:
        message = _with_reply_to(message, reply_consumer)
    if profile.checks_user_id_first:
        _check_user_id(header.user_id, user)
    # Reading it is checking it.
    _ = header.expiration_ms
    if message.may_have_copies:
        message = _with_copies(message)
    _check_user_id(header.user_id, user)
    if profile.refuses_odd_delivery_modes and header.delivery_mode not in _DELIVERY_MODES:
        raise PreconditionFailed(f"invalid message: {{delivery_mode_unknown,{header.delivery_mode}}}")
    return message


def _with_reply_to(message: FramedMessage, reply_consumer: ReplyConsumer | None) -> FramedMessage:
    # https://www.rabbitmq.com/docs/direct-reply-to
    if reply_consumer is None:
        raise PreconditionFailed("fast reply consumer does not exist")
    return message.edited(reply_to=reply_consumer.name)


def _with_copies(message: FramedMessage) -> FramedMessage:
    # https://www.rabbitmq.com/docs/sender-selected
    try:
        headers = message.headers
    except MalformedTable:
        raise InternalError("") from None
    copies = copies_of(headers)
    if BCC in headers:
        message = message.without_header(BCC)
    return message.copied_to(copies) if copies else message


def _check_user_id(user_id: bytes | None, user: str) -> None:
    # https://www.rabbitmq.com/docs/validated-user-id
    claimed = user if user_id is None else user_id.decode("utf-8", "replace")
    if claimed != user:
        raise PreconditionFailed(f"user_id property set to '{claimed}' but authenticated user was '{user}'")
