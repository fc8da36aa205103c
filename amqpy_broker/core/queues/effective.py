"""What counts for a queue when policies say something, too (https://www.rabbitmq.com/docs/policies).

Rule 1: of two limits the lower counts.
Rule 2: of everything else what the queue was declared with; but a quorum queue does with messages too many what the
        policy says.
"""

from collections.abc import Mapping
from dataclasses import replace

from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.expiration import EXPIRATION_MAX_MS
from amqpy_broker.core.profile import Profile
from amqpy_broker.core.queues.settings import OVERFLOW, Overflow, QueueSettings


def effective_settings(
    asked: QueueSettings, arguments: Arguments, definition: Mapping[str, object], queue_type: str, profile: Profile
) -> QueueSettings:
    """Return what a queue does that was asked for something, and stands under policies.

    Args:
        asked: what it was declared with.
        arguments: how that was said.
        definition: what its policies set, by RabbitMQ's names; checked before.
        queue_type: its type.
        profile: versions differ.
    """
    if not definition:
        return asked

    def number(key: str) -> int | None:
        value = definition.get(key)
        return value if isinstance(value, int) else None

    def duration(key: str) -> int | None:
        # RabbitMQ takes any number of a policy; no clock goes so far.
        value = number(key)
        return None if value is None else min(value, EXPIRATION_MAX_MS)

    def text(key: str) -> str | None:
        value = definition.get(key)
        return value if isinstance(value, str) else None

    is_quorum = queue_type == "quorum"
    overflow = text("overflow") if is_quorum or OVERFLOW not in arguments else None
    expires_ms = duration("expires")
    if not (is_quorum and profile.policy_expires_quorum_queues and expires_ms is not None):
        expires_ms = _lower(asked.expires_ms, expires_ms)
    return replace(
        asked,
        message_ttl_ms=_lower(asked.message_ttl_ms, duration("message-ttl")),
        expires_ms=expires_ms,
        max_length=_lower(asked.max_length, number("max-length")),
        max_length_bytes=_lower(asked.max_length_bytes, number("max-length-bytes")),
        delivery_limit=_delivery_limit(asked.delivery_limit, number("delivery-limit"), profile),
        consumer_timeout_ms=number("consumer-timeout"),
        dead_letter_exchange=_first(asked.dead_letter_exchange, text("dead-letter-exchange")),
        dead_letter_routing_key=_first(asked.dead_letter_routing_key, text("dead-letter-routing-key")),
        overflow=asked.overflow if overflow is None else Overflow(overflow),
    )


def _lower(asked: int | None, policy: int | None) -> int | None:
    return min((limit for limit in (asked, policy) if limit is not None), default=None)


def _first(asked: str | None, policy: str | None) -> str | None:
    return policy if asked is None else asked


def _delivery_limit(asked: int | None, policy: int | None, profile: Profile) -> int | None:
    """Return the lower limit; a negative one is none, since there is a usual one."""
    negative_is_none = profile.quorum_delivery_limit is not None
    if negative_is_none and asked is not None and policy is not None and min(asked, policy) < 0:
        return max(asked, policy)
    return _lower(asked, policy)
