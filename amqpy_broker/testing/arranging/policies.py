"""The part of the kit that sets policies, as an operator would."""

from __future__ import annotations

from collections.abc import Mapping

from amqpy_broker.core.policies import Policy, PolicyRefused
from amqpy_broker.testing.errors import Misuse, NoSuchThing
from amqpy_broker.testing.in_broker import in_broker
from amqpy_broker.testing.in_vhost import InVhost
from amqpy_broker.testing.looking.near import near_matches


class Policies(InVhost):
    """Policies, from the test."""

    @in_broker
    def set_policy(
        self,
        name: str,
        pattern: str,
        definition: Mapping[str, object],
        *,
        priority: float = 0,
        apply_to: str = "all",
        operator: bool = False,
        vhost: str | None = None,
    ) -> None:
        """Set a policy for the queues and exchanges whose names match, those that are there and those to come.

        Args:
            name: its name; one that there is is replaced.
            pattern: a regular expression that may match anywhere in a name.
            definition: what it sets, by RabbitMQ's names: `{"max-length": 10}`.
            priority: of several policies the one with the highest counts.
            apply_to: `all`, `queues`, `exchanges`, `classic_queues`, `quorum_queues`, `streams`.
            operator: set an operator policy, which counts beside the others.
            vhost: where.

        Raises:
            Misuse: there cannot be such a policy; the text is RabbitMQ's.
        """
        policies = self._find_vhost(vhost).policies
        policy = Policy(name, pattern, definition, priority, apply_to)
        try:
            if operator:
                policies.set_operator(policy)
            else:
                policies.set(policy)
        except PolicyRefused as refusal:
            raise Misuse(str(refusal)) from None

    @in_broker
    def clear_policy(self, name: str, *, operator: bool = False, vhost: str | None = None) -> None:
        """Remove a policy.

        Raises:
            NoSuchThing: there is none of this name.
        """
        policies = self._find_vhost(vhost).policies
        there = policies.operators if operator else policies.users
        if there.find(name) is None:
            word = "operator policy" if operator else "policy"
            raise NoSuchThing(f"no {word} {name!r}{near_matches(name, [policy.name for policy in there])}")
        if operator:
            policies.clear_operator(name)
        else:
            policies.clear(name)
