"""What policies tell the event exchange: they are set and cleared, and count for queues or do no longer."""

from collections.abc import Iterable
from typing import Final

from amqpy_broker.core.arguments import Argument, argument
from amqpy_broker.core.events import Detail, Events
from amqpy_broker.core.policies import Policy
from amqpy_broker.core.queues.base import Queue

_COMPONENT: Final = "operator_policy"
_LONG_MAX: Final = 2**63 - 1


def tell_policy_set(
    events: Events, vhost: str, policy: Policy, queues: Iterable[Queue], by: str, *, operators: bool
) -> None:
    """Tell that a policy is new, or another one than it was, and for which queues something else counts."""
    fields = _fields(policy)
    about: dict[str, Detail] = {"vhost": vhost, "user_who_performed_action": by}
    if operators:
        value = Argument("table", fields)
        events.tell("parameter.set", component=_COMPONENT, name=policy.name, value=value, **about)
    for queue in queues:
        events.tell("queue.policy.updated", **fields, name=queue.name, type=_type(queue), **about)
    events.tell("policy.set", **fields, name=policy.name, **about)


def tell_policy_cleared(
    events: Events, vhost: str, policy: Policy, queues: Iterable[Queue], by: str, *, operators: bool
) -> None:
    """Tell that a policy is gone, and for which queues something else counts."""
    about: dict[str, Detail] = {"vhost": vhost, "user_who_performed_action": by}
    if operators:
        events.tell("parameter.cleared", component=_COMPONENT, name=policy.name, **about)
    for queue in queues:
        events.tell("queue.policy.cleared", name=queue.name, type=_type(queue), **about)
    events.tell("operator.policy.cleared" if operators else "policy.cleared", name=policy.name, **about)


def _fields(policy: Policy) -> dict[str, Argument]:
    definition = {key: _typed(value) for key, value in policy.definition.items()}
    return {
        "pattern": Argument("longstr", policy.pattern),
        "apply-to": Argument("longstr", policy.apply_to),
        "definition": Argument("table", definition),
        "priority": _typed(policy.priority),
    }


def _typed(value: object) -> Argument:
    # A policy may name any number, a table only those of 64 bits.
    typed = argument(max(-_LONG_MAX, min(value, _LONG_MAX)) if isinstance(value, int) else value)
    return Argument("long", typed.value) if typed.kind == "signedint" else typed


def _type(queue: Queue) -> str:
    return f"rabbit_{queue.type}_queue"
