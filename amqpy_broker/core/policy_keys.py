"""What a policy may set: its keys, which values they take, what an operator may set, and what counts of two.

Refusals are RabbitMQ's, to the letter. What has no effect here is taken all the same: a policy that RabbitMQ takes is
no mistake.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from amqpy_broker.core.policy_mirroring import MIRRORING, complaint_about_mirroring
from amqpy_broker.core.policy_terms import shown
from amqpy_broker.core.profile import Profile
from amqpy_broker.core.queues.settings import Overflow

_FILTER_SIZE_MIN: Final = 16
_FILTER_SIZE_MAX: Final = 255
_SEGMENT_SIZE_MAX_BYTES: Final = 3_000_000_000
_AGE: Final = re.compile(r"\d+[YMDhms]")


class Key(NamedTuple):
    """What a key takes, and what is said of anything else."""

    allows: Callable[[object], bool]
    # Follows on the value.
    complaint: str


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_age(value: object) -> bool:
    return isinstance(value, str) and _AGE.fullmatch(value) is not None


def _integer(what: str, least: int = 0, most: float = float("inf")) -> Key:
    def allows(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most

    return Key(allows, f"is not a valid {what}")


def _text(what: str) -> Key:
    return Key(lambda value: isinstance(value, str), f"is not a valid {what}")


def _one_of(what: str, *words: str) -> Key:
    return Key(lambda value: value in words, f"is not a valid {what}")


_ANYTHING: Final = Key(lambda value: True, "")
_OVERFLOW: Final = _one_of("overflow value", *(word.value for word in Overflow))
_VERSION: Final = Key(lambda value: _is_integer(value) and value in (1, 2), "is not a valid queue-version value")
_MASTER_LOCATORS: Final = ("min-masters", "client-local", "random")
_COMMON: Final[Mapping[str, Key]] = {
    "alternate-exchange": _text("alternate exchange name"),
    "dead-letter-exchange": _text("dead letter exchange name"),
    "dead-letter-routing-key": _text("dead letter routing key"),
    "dead-letter-strategy": _one_of("dead letter strategy", "at-most-once", "at-least-once"),
    "expires": _integer("queue expiry", 1),
    "initial-cluster-size": _integer("cluster size"),
    "max-age": Key(_is_age, "is not a valid max age"),
    "max-in-memory-bytes": _integer("maximum memory in bytes"),
    "max-in-memory-length": _integer("maximum memory in bytes"),
    "max-length": _integer("maximum length"),
    "max-length-bytes": _integer("maximum length in bytes"),
    "message-ttl": _integer("message TTL"),
    "overflow": _OVERFLOW,
    "queue-leader-locator": _one_of(
        "queue leader locator value", "client-local", "balanced", "random", "least-leaders"
    ),
    "queue-mode": _one_of("queue-mode value", "default", "lazy"),
    "queue-version": _VERSION,
    "stream-max-segment-size-bytes": _integer("segment size", 0, _SEGMENT_SIZE_MAX_BYTES),
}
_3_X: Final[Mapping[str, Key]] = {
    **_COMMON,
    "delivery-limit": _integer("delivery limit"),
    # What these take depends on each other.
    **dict.fromkeys(MIRRORING, _ANYTHING),
    "queue-master-locator": Key(lambda value: value in _MASTER_LOCATORS, "invalid queue-master-locator value"),
}
_4_X: Final[Mapping[str, Key]] = {
    **_COMMON,
    "consumer-timeout": _integer("consumer timeout"),
    "delivery-limit": Key(_is_integer, "is not a valid delivery limit"),
    "queue-master-locator": _one_of("master locator", *_MASTER_LOCATORS),
    "stream-filter-size-bytes": _integer(
        f"filter size. Valid range is {_FILTER_SIZE_MIN}-{_FILTER_SIZE_MAX}", _FILTER_SIZE_MIN, _FILTER_SIZE_MAX
    ),
    "target-group-size": _integer("qq target count value", 1),
}
_LIMITS: Final = frozenset(
    ("expires", "max-in-memory-bytes", "max-in-memory-length", "max-length", "max-length-bytes", "message-ttl")
)
_DELIVERY_LIMIT: Final = "delivery-limit"
_3_X_OPERATORS: Final = _LIMITS | {_DELIVERY_LIMIT}
_4_X_OPERATORS: Final = _3_X_OPERATORS | {"overflow", "queue-master-locator", "queue-version", "target-group-size"}
_STREAMS: Final = frozenset(("initial-cluster-size", "max-age", "stream-max-segment-size-bytes"))
_IN_MEMORY: Final = frozenset(("max-in-memory-bytes", "max-in-memory-length"))
_CLASSIC_FOREIGN: Final = _STREAMS | {"dead-letter-strategy", _DELIVERY_LIMIT}
_QUORUM_FOREIGN: Final = _STREAMS | {
    *MIRRORING,
    "queue-master-locator",
    "queue-mode",
}
# Settings that a type of queue does not have: a policy with one of them is not for it.
_3_X_FOREIGN: Final = {"classic": _CLASSIC_FOREIGN | {"queue-leader-locator"}, "quorum": _QUORUM_FOREIGN}
_4_X_FOREIGN: Final = {"classic": _CLASSIC_FOREIGN | _IN_MEMORY | {"target-group-size"}, "quorum": _QUORUM_FOREIGN}


def complaint_about(definition: Mapping[str, object], profile: Profile, *, operators: bool) -> str | None:
    """Say what is wrong with the settings of a policy, in RabbitMQ's words; None if nothing is."""
    if not definition:
        return "no policy provided"
    known = _keys(profile)
    allowed = (_3_X_OPERATORS if _is_3_x(profile) else _4_X_OPERATORS) if operators else known.keys()
    for key in sorted(allowed & definition.keys()):
        if not known[key].allows(definition[key]):
            return f"{shown(definition[key])} {known[key].complaint}"
    if "ha-mode" in allowed and (complaint := complaint_about_mirroring(definition)):
        return complaint
    unknown = sorted(definition.keys() - allowed)
    if unknown:
        listed = ",".join(f"{{{shown(key)},{shown(definition[key])}}}" for key in unknown)
        return f"[{listed}] are not recognised policy settings"
    return None


def foreign_keys(profile: Profile, queue_type: str) -> Collection[str]:
    """Return the settings that a type of queue does not have."""
    return (_3_X_FOREIGN if _is_3_x(profile) else _4_X_FOREIGN).get(queue_type, ())


def merged(users: Mapping[str, object], operators: Mapping[str, object]) -> Mapping[str, object]:
    """Say what counts of a policy and an operator policy."""
    if not users or not operators:
        return users or operators
    return {**users, **{key: _stricter(key, users.get(key), value) for key, value in operators.items()}}


def _stricter(key: str, user: object, operator: object) -> object:
    if not (isinstance(user, int) and isinstance(operator, int)):
        return operator
    if key == _DELIVERY_LIMIT and min(user, operator) < 0:
        # A negative one is none.
        return max(user, operator)
    return min(user, operator) if key in _LIMITS or key == _DELIVERY_LIMIT else operator


def _keys(profile: Profile) -> Mapping[str, Key]:
    return _3_X if _is_3_x(profile) else _4_X


def _is_3_x(profile: Profile) -> bool:
    return profile.knows_mirrored_queues
