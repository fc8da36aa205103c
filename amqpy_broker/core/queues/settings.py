"""What a queue was asked to do: its arguments, checked and read (https://www.rabbitmq.com/docs/queues#optional-arguments).

A new argument is a row in a queue type's table and a field of `QueueSettings`. Refusals are RabbitMQ's, to the letter.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from amqpy_broker.core.arguments import INTEGER_KINDS, Argument, Arguments
from amqpy_broker.core.erlang_terms import Atom, Term, format_p
from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.expiration import EXPIRATION_MAX_MS
from amqpy_broker.core.limits import DEDUPLICATION_CACHE_MAX

QUEUE_TYPE: Final = "x-queue-type"
OVERFLOW: Final = "x-overflow"
PRIORITY_MAX: Final = 255
# Of queues that RabbitMQ does not have.
DEDUPLICATION: Final = "x-message-deduplication"
CACHE_SIZE: Final = "x-cache-size"
CACHE_TTL: Final = "x-cache-ttl"
DEDUPLICATION_HEADER: Final = "x-deduplication-header"
_CACHE_SIZE_DEFAULT: Final = 128
LAST_VALUE_KEY: Final = "x-last-value-key"
MESSAGE_GROUPS: Final = "x-message-groups"
RETRY_TYPE: Final = "x-delayed-retry-type"
RETRY_MIN: Final = "x-delayed-retry-min"
RETRY_MAX: Final = "x-delayed-retry-max"
RETRY_MULTIPLIER: Final = "x-delayed-retry-multiplier"


class Overflow(Enum):
    """What happens to a message too many (https://www.rabbitmq.com/docs/maxlength#overflow-behaviour)."""

    DROP_HEAD = "drop-head"
    REJECT_PUBLISH = "reject-publish"
    REJECT_PUBLISH_DLX = "reject-publish-dlx"


@dataclass(frozen=True, slots=True)
class DeduplicationSettings:
    """How duplicates are told. Names and defaults are LavinMQ's."""

    header: str = DEDUPLICATION_HEADER
    cache_size: int = _CACHE_SIZE_DEFAULT
    # None: keys are remembered until others need their places.
    cache_ttl_ms: int | None = None


class RetryType(Enum):
    """Which messages wait when they come back (https://www.rabbitmq.com/docs/quorum-queues#delayed-retry)."""

    DISABLED = "disabled"
    ALL = "all"
    # Somebody failed with them: rejected, or the channel ended.
    FAILED = "failed"
    # The others.
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """How long messages wait that came back."""

    type: RetryType
    min_ms: int
    max_ms: int | None = None
    multiplier: int | None = None


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """What a queue was asked to do. None: it was not."""

    message_ttl_ms: int | None = None
    expires_ms: int | None = None
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    max_length: int | None = None
    max_length_bytes: int | None = None
    overflow: Overflow = Overflow.DROP_HEAD
    max_priority: int | None = None
    single_active_consumer: bool = False
    # Returns to the queue that a message survives; quorum queues only.
    delivery_limit: int | None = None
    # How long a consumer that says nothing of it may take to acknowledge; 0 is for ever. Only policies set it here.
    consumer_timeout_ms: int | None = None
    deduplication: DeduplicationSettings | None = None
    retry: RetrySettings | None = None
    # The header that tells which messages are values of the same thing; classic queues only.
    last_value_key: str | None = None
    # Whether messages of one group go to one consumer; classic queues only.
    message_groups: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether every message is treated alike: kept until it is settled."""
        return all(
            asked is None
            for asked in (
                self.message_ttl_ms,
                self.max_length,
                self.max_length_bytes,
                self.deduplication,
                self.retry,
                self.last_value_key,
                self.message_groups or None,
            )
        )

    @property
    def may_reject(self) -> bool:
        """Whether a publish may be refused."""
        return self.overflow is not Overflow.DROP_HEAD and not (
            self.max_length is None and self.max_length_bytes is None
        )


class _Wrong(Exception):
    """An argument's value is wrong; the reason as the Erlang term that RabbitMQ prints."""

    def __init__(self, reason: Term) -> None:
        super().__init__(reason)
        self.reason = reason


def _integer(argument: Argument) -> int:
    if argument.kind not in INTEGER_KINDS or not isinstance(argument.value, int):
        raise _Wrong(f"expected integer, got {argument.kind}")
    return argument.value


def _not_negative(argument: Argument) -> int:
    value = _integer(argument)
    if value < 0:
        raise _Wrong((Atom("value_negative"), value))
    return value


def _integer_or_nothing(argument: Argument) -> int | None:
    return _integer(argument) if argument.kind in INTEGER_KINDS else None


def _ttl(argument: Argument) -> int:
    value = _integer(argument)
    if value > EXPIRATION_MAX_MS:
        raise _Wrong((Atom("value_too_large"), value))
    return _not_negative(argument)


def _positive(argument: Argument) -> int:
    value = _integer(argument)
    if value == 0:
        raise _Wrong((Atom("value_zero"), 0))
    return _ttl(argument)


def _priority(argument: Argument) -> int:
    value = _not_negative(argument)
    if value > PRIORITY_MAX:
        raise _Wrong((Atom("max_value_exceeded"), value))
    return value


def _cache_size(argument: Argument) -> int:
    value = _not_negative(argument)
    if value > DEDUPLICATION_CACHE_MAX:
        raise _Wrong((Atom("max_value_exceeded"), value))
    return value


def _text(argument: Argument) -> str:
    if argument.kind != "longstr":
        raise _Wrong((Atom("unacceptable_type"), Atom(argument.kind)))
    return str(argument.value)


def _flag(argument: Argument) -> bool:
    if not isinstance(argument.value, bool):
        raise _Wrong((Atom("unacceptable_type"), Atom(argument.kind)))
    return argument.value


def _one_of(words: tuple[str, ...], complaint: Callable[[str], Term]) -> Callable[[Argument], str]:
    def read(argument: Argument) -> str:
        word = _text(argument)
        if word not in words:
            raise _Wrong(complaint(word))
        return word

    return read


def _anything(argument: Argument) -> None:
    """Take what RabbitMQ takes without looking."""


Reader = Callable[[Argument], object]

_OVERFLOW_WORDS: Final = tuple(overflow.value for overflow in Overflow)
_COMMON: Final[Mapping[str, Reader]] = {
    "x-expires": _positive,
    "x-message-ttl": _ttl,
    "x-dead-letter-exchange": _text,
    "x-dead-letter-routing-key": _text,
    "x-max-length": _not_negative,
    "x-max-length-bytes": _not_negative,
    OVERFLOW: _one_of(_OVERFLOW_WORDS, lambda word: Atom("invalid_overflow")),
    "x-single-active-consumer": _flag,
    QUEUE_TYPE: _text,
}
# What RabbitMQ does not have.
_BEYOND: Final[Mapping[str, Reader]] = {
    DEDUPLICATION: _flag,
    CACHE_SIZE: _cache_size,
    CACHE_TTL: _ttl,
    DEDUPLICATION_HEADER: _text,
    RETRY_TYPE: _one_of(tuple(kind.value for kind in RetryType), lambda word: Atom("invalid_delayed_retry_type")),
    RETRY_MIN: _positive,
    RETRY_MAX: _positive,
    RETRY_MULTIPLIER: _positive,
}
_CLASSIC_BEYOND: Final[Mapping[str, Reader]] = {**_BEYOND, LAST_VALUE_KEY: _text, MESSAGE_GROUPS: _flag}
BEYOND_ARGUMENTS: Final = tuple(_CLASSIC_BEYOND)
QUORUM_BEYOND_ARGUMENTS: Final = tuple(_BEYOND)
_LOCATOR: Final = _one_of(
    ("client-local", "balanced", "random", "least-leaders"), lambda word: Atom("invalid_queue_locator_arg")
)
_QUEUE_MODES: Final = ("default", "lazy")
_CLASSIC: Final[Mapping[str, Reader]] = {
    **{name: _COMMON[name] for name in ("x-expires", "x-message-ttl", "x-dead-letter-exchange")},
    "x-dead-letter-routing-key": _text,
    "x-max-length": _not_negative,
    "x-max-length-bytes": _not_negative,
    "x-max-priority": _priority,
    OVERFLOW: _COMMON[OVERFLOW],
    "x-queue-mode": _one_of(_QUEUE_MODES, lambda word: f"unsupported queue mode '{word}'"),
    "x-single-active-consumer": _flag,
    QUEUE_TYPE: _text,
    "x-queue-version": _not_negative,
    "x-queue-master-locator": _anything,
    "x-queue-leader-locator": _LOCATOR,
    **_CLASSIC_BEYOND,
}
_QUORUM: Final[Mapping[str, Reader]] = {
    **{name: reader for name, reader in _COMMON.items() if name != QUEUE_TYPE},
    "x-dead-letter-strategy": _one_of(("at-most-once", "at-least-once"), lambda word: Atom("invalid_dlx_strategy")),
    "x-max-in-memory-length": _not_negative,
    "x-max-in-memory-bytes": _not_negative,
    "x-delivery-limit": _integer_or_nothing,
    "x-quorum-initial-group-size": _positive,
    "x-queue-leader-locator": _LOCATOR,
    QUEUE_TYPE: _text,
    **_BEYOND,
}
# The arguments that a queue type knows; those of another type are refused, all others are free.
ARGUMENTS: Final[Mapping[str, Mapping[str, Reader]]] = {"classic": _CLASSIC, "quorum": _QUORUM}
_STREAM_ONLY: Final = frozenset(("x-max-age", "x-stream-max-segment-size-bytes", "x-initial-cluster-size"))
_KNOWN_ANYWHERE: Final = frozenset(_CLASSIC) | frozenset(_QUORUM) | _STREAM_ONLY


def queue_type_of(arguments: Arguments, resource: str) -> str:
    """Read which type of queue is asked for.

    Raises:
        PreconditionFailed: there is none of this name.
    """
    wanted = arguments.get(QUEUE_TYPE)
    if wanted is None or wanted.kind == "void":
        return "classic"
    if wanted.kind != "longstr":
        raise _refusal(QUEUE_TYPE, resource, (Atom("unacceptable_type"), Atom(wanted.kind)))
    if wanted.value not in ARGUMENTS:
        raise _refusal(QUEUE_TYPE, resource, f"unsupported queue type '{wanted.value!s}'")
    return str(wanted.value)


def read_settings(
    arguments: Arguments, queue_type: str, resource: str, *, versions: Container[int] = (1, 2)
) -> QueueSettings:
    """Check and read the arguments of a declaration. `versions` are those of classic queues that there are.

    Raises:
        PreconditionFailed: with RabbitMQ's text for the first that is wrong.
    """
    known = ARGUMENTS[queue_type]
    values: dict[str, object] = {}
    for name, reader in known.items():
        if name not in arguments:
            continue
        try:
            values[name] = reader(arguments[name])
        except _Wrong as wrong:
            raise _refusal(name, resource, wrong.reason) from None
        if name == "x-dead-letter-routing-key" and "x-dead-letter-exchange" not in arguments:
            raise _refusal(name, resource, Atom("routing_key_but_no_dlx_defined"))
    version = values.get("x-queue-version")
    if isinstance(version, int) and version not in versions:
        raise _refusal("x-queue-version", resource, f"unsupported queue version '{version}'")
    for name in sorted(arguments):
        if name in _KNOWN_ANYWHERE and name not in known:
            raise PreconditionFailed(f"invalid arg '{name}' for {resource} of queue type rabbit_{queue_type}_queue")
    try:
        return _settings(values)
    except _Wrong as wrong:
        raise _refusal(RETRY_TYPE, resource, wrong.reason) from None


def _settings(values: Mapping[str, object]) -> QueueSettings:
    def integer(name: str) -> int | None:
        value = values.get(name)
        return value if isinstance(value, int) else None

    def text(name: str) -> str | None:
        value = values.get(name)
        return value if isinstance(value, str) else None

    return QueueSettings(
        message_ttl_ms=integer("x-message-ttl"),
        expires_ms=integer("x-expires"),
        dead_letter_exchange=text("x-dead-letter-exchange"),
        dead_letter_routing_key=text("x-dead-letter-routing-key"),
        max_length=integer("x-max-length"),
        max_length_bytes=integer("x-max-length-bytes"),
        overflow=Overflow(text(OVERFLOW) or Overflow.DROP_HEAD.value),
        max_priority=integer("x-max-priority"),
        single_active_consumer=values.get("x-single-active-consumer") is True,
        delivery_limit=integer("x-delivery-limit"),
        deduplication=_deduplication(values),
        retry=_retry(values),
        last_value_key=text(LAST_VALUE_KEY),
        message_groups=values.get(MESSAGE_GROUPS) is True,
    )


def _deduplication(values: Mapping[str, object]) -> DeduplicationSettings | None:
    if values.get(DEDUPLICATION) is not True:
        return None
    header, size, ttl_ms = (values.get(name) for name in (DEDUPLICATION_HEADER, CACHE_SIZE, CACHE_TTL))
    return DeduplicationSettings(
        header if isinstance(header, str) else DEDUPLICATION_HEADER,
        size if isinstance(size, int) else _CACHE_SIZE_DEFAULT,
        ttl_ms if isinstance(ttl_ms, int) else None,
    )


def _retry(values: Mapping[str, object]) -> RetrySettings | None:
    retry_type = RetryType(values.get(RETRY_TYPE, RetryType.DISABLED.value))
    if retry_type is RetryType.DISABLED:
        return None
    min_ms, max_ms, multiplier = (values.get(name) for name in (RETRY_MIN, RETRY_MAX, RETRY_MULTIPLIER))
    if not isinstance(min_ms, int):
        raise _Wrong(f"'{retry_type.value}' needs {RETRY_MIN}")
    return RetrySettings(
        retry_type,
        min_ms,
        max_ms if isinstance(max_ms, int) else None,
        multiplier if isinstance(multiplier, int) else None,
    )


def _refusal(name: str, resource: str, reason: Term) -> PreconditionFailed:
    return PreconditionFailed(f"invalid arg '{name}' for {resource}: {format_p(reason, unicode=False)}")
