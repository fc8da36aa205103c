"""Policies: what operators say about queues and exchanges by their names (https://www.rabbitmq.com/docs/policies).

Rule 1: of the policies whose pattern matches a name the one with the highest priority counts, alone.
Rule 2: beside it counts one operator policy, chosen likewise. Of two limits the lower counts; of anything else what the
        operator says.
Rule 3: a policy with a setting that a queue's type does not have does not apply to the queue at all.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, Protocol

from amqpy_broker.core.arguments import octets_of
from amqpy_broker.core.erlang_terms import format_p
from amqpy_broker.core.events import INTERNAL
from amqpy_broker.core.patterns import BadPattern, compiled
from amqpy_broker.core.policy_keys import complaint_about, foreign_keys, merged
from amqpy_broker.core.profile import Profile

ALL: Final = "all"
_EXCHANGES: Final = "exchanges"
_QUEUES: Final = "queues"
_STREAMS: Final = "streams"
# Which types of queues a word means, but for `all` and `queues`.
_TYPES: Final[Mapping[str, str]] = {"classic_queues": "classic", "quorum_queues": "quorum", _STREAMS: "stream"}


class PolicyRefused(ValueError):
    """There cannot be such a policy; the text is RabbitMQ's, a line for each thing that is wrong."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What queues and exchanges whose names match shall do.

    `pattern` is a regular expression that may match anywhere in the name. `definition` has JSON's values by RabbitMQ's
    names: `{"max-length": 1000}`. `apply_to` is one of `all`, `queues`, `exchanges`, and since 3.12 `classic_queues`,
    `quorum_queues`, `streams`.
    """

    name: str
    pattern: str
    definition: Mapping[str, object] = field(default_factory=dict)
    priority: float = 0
    apply_to: str = ALL

    def is_for_queue(self, name: str, queue_type: str) -> bool:
        """Say whether it is for queues of this type, and matches the name."""
        wanted = self.apply_to in (ALL, _QUEUES) or _TYPES.get(self.apply_to) == queue_type
        return wanted and _matches(self.pattern, name)

    def is_for_exchange(self, name: str) -> bool:
        """Say whether it is for exchanges, and matches the name."""
        return self.apply_to in (ALL, _EXCHANGES) and _matches(self.pattern, name)


class Governing(NamedTuple):
    """The policy and the operator policy that count for a queue or an exchange."""

    policy: Policy | None = None
    operator_policy: Policy | None = None

    @property
    def definition(self) -> Mapping[str, object]:
        """What they set, all in all."""
        users, operators = ({} if policy is None else policy.definition for policy in self)
        return merged(users, operators)


UNGOVERNED: Final = Governing()


class PolicySet:
    """Policies by name, of which one counts at a time."""

    def __init__(self) -> None:
        self._by_name: dict[str, Policy] = {}
        # In the order in which they are asked.
        self._ranked: tuple[Policy, ...] = ()

    def __iter__(self) -> Iterator[Policy]:
        """Show all of them, by name."""
        return iter(sorted(self._by_name.values(), key=lambda policy: policy.name))

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def find(self, name: str) -> Policy | None:
        """Find a policy by its name."""
        return self._by_name.get(name)

    def put(self, policy: Policy) -> None:
        """Add a policy, or replace the one of its name."""
        self._by_name[policy.name] = policy
        self._rank()

    def take(self, name: str) -> Policy:
        """Remove the policy of this name.

        Raises:
            KeyError: there is none.
        """
        policy = self._by_name.pop(name)
        self._rank()
        return policy

    def first(self, counts: Callable[[Policy], bool]) -> Policy | None:
        """Find the one that counts: the highest priority, then the first by name."""
        return next(filter(counts, self._ranked), None)

    def _rank(self) -> None:
        self._ranked = tuple(sorted(self, key=lambda policy: -policy.priority))


class Listener(Protocol):
    """Who is told that something else may count for any name."""

    def policy_set(self, policy: Policy, by: str, *, operators: bool) -> None:
        """Learn of a policy that is new, or another one than it was."""
        ...

    def policy_cleared(self, policy: Policy, by: str, *, operators: bool) -> None:
        """Learn of a policy that is gone."""
        ...


class Policies:
    """The policies of a vhost."""

    def __init__(self, profile: Profile, listener: Listener) -> None:
        self._profile = profile
        self._listener = listener
        self.users = PolicySet()
        self.operators = PolicySet()

    def __bool__(self) -> bool:
        return bool(self.users or self.operators)

    def __iter__(self) -> Iterator[Policy]:
        """Show the policies that are not operators', by name."""
        return iter(self.users)

    def set(self, policy: Policy, *, by: str = INTERNAL) -> None:
        """Add a policy, or replace the one of its name. `by` is who does it, for the event.

        Raises:
            PolicyRefused: there cannot be such a policy; with RabbitMQ's text.
        """
        self._set(policy, by, operators=False)

    def clear(self, name: str, *, by: str = INTERNAL) -> None:
        """Remove a policy.

        Raises:
            KeyError: there is none of this name.
        """
        self._listener.policy_cleared(self.users.take(name), by, operators=False)

    def set_operator(self, policy: Policy, *, by: str = INTERNAL) -> None:
        """Add an operator policy, or replace the one of its name: it may set limits, and little else.

        Raises:
            PolicyRefused: there cannot be such a policy; with RabbitMQ's text.
        """
        self._set(policy, by, operators=True)

    def clear_operator(self, name: str, *, by: str = INTERNAL) -> None:
        """Remove an operator policy.

        Raises:
            KeyError: there is none of this name.
        """
        self._listener.policy_cleared(self.operators.take(name), by, operators=True)

    def _set(self, policy: Policy, by: str, *, operators: bool) -> None:
        check_policy(policy, self._profile, operators=operators)
        self.put_back(policy, by, operators=operators)

    def put_back(self, policy: Policy, by: str = INTERNAL, *, operators: bool) -> None:
        """Add a policy that was checked, or was one before: another version of RabbitMQ may have taken it."""
        policies = self.operators if operators else self.users
        # What the caller does to it later is not a policy.
        policy = replace(policy, definition=dict(policy.definition))
        # The same again changes nothing, and nobody is told, as in RabbitMQ.
        if policies.find(policy.name) != policy:
            policies.put(policy)
            self._listener.policy_set(policy, by, operators=operators)

    # --- what counts ------------------------------------------------------------------------------------------------

    def of_queue(self, name: str, queue_type: str) -> Governing:
        """Find what counts for a queue."""
        foreign = foreign_keys(self._profile, queue_type)

        def counts(policy: Policy) -> bool:
            return policy.is_for_queue(name, queue_type) and not any(key in foreign for key in policy.definition)

        return self._governing(counts)

    def of_exchange(self, name: str) -> Governing:
        """Find what counts for an exchange."""
        return self._governing(lambda policy: policy.is_for_exchange(name))

    def _governing(self, counts: Callable[[Policy], bool]) -> Governing:
        return Governing(self.users.first(counts), self.operators.first(counts)) if self else UNGOVERNED


def check_policy(policy: Policy, profile: Profile, *, operators: bool) -> None:
    """Refuse what cannot be a policy.

    Raises:
        PolicyRefused: with RabbitMQ's text.
    """
    complaints = (
        complaint_about(policy.definition, profile, operators=operators),
        _complaint_about_target(policy.apply_to, profile),
        _complaint_about_pattern(policy.pattern),
    )
    found = [complaint for complaint in complaints if complaint is not None]
    if found:
        raise PolicyRefused("\n".join(found))


def _complaint_about_target(apply_to: str, profile: Profile) -> str | None:
    if apply_to in profile.policy_targets:
        return None
    if _STREAMS in profile.policy_targets:
        # The two blanks are RabbitMQ's.
        words = "one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'"
    else:
        words = "'queues', 'exchanges' or 'all'"
    return f"apply-to '{apply_to}' unrecognised; should be {words}"


def _complaint_about_pattern(pattern: str) -> str | None:
    try:
        compiled(pattern)
    except BadPattern as failure:
        return f"pattern should be regular expression but is invalid: {format_p((failure.words, failure.offset))}"
    return None


def _matches(pattern: str, name: str) -> bool:
    return compiled(pattern).search(octets_of(name)) is not None
