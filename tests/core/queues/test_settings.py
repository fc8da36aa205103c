"""Arguments of a queue: what is read, and what is refused, in RabbitMQ's words."""

import pytest

from amqpy_broker.core.arguments import Argument, arguments
from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.queues.settings import Overflow, QueueSettings, read_settings
from tests.fakes import refused

RESOURCE = "queue 'q' in vhost '/'"
TEN_YEARS_MS = 315_360_000_000


def read(**values: object) -> QueueSettings:
    named = {name.replace("_", "-"): value for name, value in values.items()}
    return read_settings(arguments(named), "classic", RESOURCE)


def test_nothing_is_asked_for_by_default() -> None:
    assert read() == QueueSettings()
    assert read().is_plain
    assert not read().may_reject


def test_everything_is_read() -> None:
    settings = read(
        x_message_ttl=1,
        x_expires=2,
        x_dead_letter_exchange="dlx",
        x_dead_letter_routing_key="key",
        x_max_length=3,
        x_max_length_bytes=4,
        x_overflow="reject-publish",
        x_max_priority=5,
        x_single_active_consumer=True,
    )

    assert (settings.message_ttl_ms, settings.expires_ms) == (1, 2)
    assert (settings.dead_letter_exchange, settings.dead_letter_routing_key) == ("dlx", "key")
    assert (settings.max_length, settings.max_length_bytes, settings.max_priority) == (3, 4, 5)
    assert settings.overflow is Overflow.REJECT_PUBLISH
    assert settings.single_active_consumer
    assert settings.may_reject
    assert not settings.is_plain


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x_message_ttl", 0),
        ("x_message_ttl", TEN_YEARS_MS),
        ("x_expires", 1),
        ("x_max_length", 0),
        ("x_max_length_bytes", 0),
        ("x_max_priority", 0),
        ("x_max_priority", 255),
        ("x_dead_letter_exchange", ""),
        ("x_overflow", "reject-publish-dlx"),
        ("x_single_active_consumer", False),
        ("x_anything_else", [1]),
    ],
)
def test_the_edges_are_allowed(name: str, value: object) -> None:
    read(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("x-message-ttl", Argument("long", -1), "{value_negative,-1}"),
        ("x-message-ttl", Argument("long", TEN_YEARS_MS + 1), f"{{value_too_large,{TEN_YEARS_MS + 1}}}"),
        ("x-message-ttl", Argument("longstr", "1"), '"expected integer, got longstr"'),
        ("x-expires", Argument("long", 0), "{value_zero,0}"),
        ("x-max-length", Argument("long", -1), "{value_negative,-1}"),
        ("x-max-length", Argument("bool", True), '"expected integer, got bool"'),
        ("x-max-length-bytes", Argument("double", 1.0), '"expected integer, got double"'),
        ("x-max-priority", Argument("long", 256), "{max_value_exceeded,256}"),
        ("x-overflow", Argument("longstr", "explode"), "invalid_overflow"),
        ("x-single-active-consumer", Argument("longstr", "true"), "{unacceptable_type,longstr}"),
        ("x-dead-letter-routing-key", Argument("longstr", "k"), "routing_key_but_no_dlx_defined"),
    ],
)
def test_wrong_values_are_refused(name: str, value: Argument, reason: str) -> None:
    with refused(PreconditionFailed, f"invalid arg '{name}' for {RESOURCE}: {reason}"):
        read_settings({name: value}, "classic", RESOURCE)


def test_arguments_of_another_queue_type_are_refused() -> None:
    with refused(
        PreconditionFailed, f"invalid arg 'x-delivery-limit' for {RESOURCE} of queue type rabbit_classic_queue"
    ):
        read(x_delivery_limit=5)
