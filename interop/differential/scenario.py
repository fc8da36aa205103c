"""What a scenario is: a function that gets a `Stage`, named by its file and itself.

    @scenario
    def a_published_message_is_delivered(s: Stage) -> None:
        a = s.channel()
        q = s.declared_queue(a)
        a.publish("hello", to=q)
        a.call("basic.consume", queue=q, consumer_tag="c", no_ack=True)
        a.deliveries(1)

`@cases(zero=0, one=1)` makes one scenario of each value, which the function gets as its second argument.
"""

from __future__ import annotations

import importlib
import pkgutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from amqpy_broker.core.policies import ALL, Policy
from interop.differential.administration import Administration
from interop.differential.channel import PROBE_CHANNEL, Channel
from interop.differential.client import Connection
from interop.differential.pace import Pace, RealTime
from interop.differential.transcript import Transcript
from interop.differential.wire import Method


class Stage:
    """The broker's address, the transcript, and names that no other scenario uses."""

    def __init__(
        self,
        scenario_name: str,
        address: tuple[str, int],
        clean: Callable[[str, str], None],
        administration: Administration | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.address = address
        self.pace = pace or RealTime()
        self.transcript = Transcript()
        self.names: list[tuple[str, str]] = []
        self.connections: list[Connection] = []
        self._suffix = short_hash(scenario_name)
        self._clean = clean
        self._administration = administration
        self._policies: dict[tuple[str, bool], None] = {}

    def queue(self, label: str = "q") -> str:
        """Return a name for a queue, which is deleted before and after."""
        return self._name("queue", label)

    def exchange(self, label: str = "x") -> str:
        """Return a name for an exchange, which is deleted before and after."""
        return self._name("exchange", label)

    def _name(self, noun: str, label: str) -> str:
        name = f"{label}.{self._suffix}"
        self.names.append((noun, name))
        self._clean(noun, name)
        return name

    def socket(self) -> Connection:
        """Connect a bare socket."""
        label = chr(ord("A") + len(self.connections))
        connection = Connection(label, self.address, self.transcript, self.pace)
        self.connections.append(connection)
        return connection

    def connection(self, **options: Any) -> Connection:
        """Open a connection, unseen; `Connection.handshake` has the options."""
        return self.socket().handshake(**options)

    def channel(self, **options: Any) -> Channel:
        """Open a connection and a channel on it, unseen."""
        return self.connection(**options).channel()

    def declared_queue(self, channel: Channel, label: str = "q", *, messages: int = 0, **fields: Any) -> str:
        """Declare a queue, unseen, and publish so many messages `m1`, `m2`... to it."""
        name = self.queue(label)
        channel.call_unseen("queue.declare", queue=name, **fields)
        if messages:
            self.fill(channel, name, messages)
        return name

    def fill(self, channel: Channel, queue: str, count: int) -> None:
        """Publish `m1`, `m2`... to a queue and wait until they are there."""
        before = channel.call_unseen("queue.declare", queue=queue, passive=True)
        ready = before["message_count"] if before else 0
        assert isinstance(ready, int)
        for number in range(ready + 1, ready + count + 1):
            channel.publish(f"m{number}", to=queue)
        channel.settle(queue, ready=ready + count)

    def declared_exchange(self, channel: Channel, kind: str, label: str = "x", **fields: Any) -> str:
        """Declare an exchange, unseen."""
        name = self.exchange(label)
        channel.call_unseen("exchange.declare", exchange=name, exchange_type=kind, **fields)
        return name

    def bound_queue(self, channel: Channel, exchange: str, key: str = "", label: str = "q", **arguments: Any) -> str:
        """Declare a queue and bind it, unseen."""
        name = self.declared_queue(channel, label)
        channel.call_unseen("queue.bind", queue=name, exchange=exchange, routing_key=key, arguments=arguments)
        return name

    def drain(self, channel: Channel, *queues: str) -> None:
        """Get all messages of these queues, without acknowledgement, until each is empty."""
        for queue in queues:
            reply: Method | None = channel.call("basic.get", queue=queue, no_ack=True)
            while reply is not None and reply.name == "basic.get-ok":
                reply = channel.call("basic.get", queue=queue, no_ack=True)

    def pattern(self, *labels: str) -> str:
        """Return a pattern for the names of this scenario, or only for those with one of these labels."""
        return rf"^({'|'.join(labels) or '.*'})\.{self._suffix}$"

    def set_policy(
        self,
        definition: dict[str, object],
        *,
        name: str = "p",
        on: str | None = None,
        priority: float = 0,
        apply_to: str = ALL,
        operators: bool = False,
    ) -> None:
        """Set a policy on the queues and exchanges whose name matches; on all of this scenario by default."""
        policy = Policy(f"{name}.{self._suffix}", on or self.pattern(), definition, priority, apply_to)
        if (policy.name, operators) not in self._policies:
            self._policies[policy.name, operators] = None
            self._administrator.clear_policy(policy.name, operators=operators)
        complaint = self._administrator.set_policy(policy, operators=operators)
        self.transcript.policy(f"{name} on {policy.pattern}", f"{definition}{_aside(policy)}", complaint, operators)

    def clear_policy(self, name: str = "p", *, operators: bool = False) -> None:
        """Clear a policy of this scenario."""
        complaint = self._administrator.clear_policy(f"{name}.{self._suffix}", operators=operators)
        self.transcript.policy(name, "cleared", complaint, operators)

    def forget_policies(self) -> None:
        """Clear all policies that it set, unseen."""
        for name, operators in self._policies:
            self._administrator.clear_policy(name, operators=operators)

    @property
    def _administrator(self) -> Administration:
        if self._administration is None:
            raise ValueError("nobody can set policies here")
        return self._administration

    def wait(self, milliseconds: int) -> None:
        """Let time pass, for what expires."""
        self.transcript.pause(milliseconds)
        self.pace.pass_s(milliseconds / 1000)

    def finish(self) -> None:
        """Write down what else arrived on every connection that is still open."""
        for connection in self.connections:
            for channel in list(connection.channels.values()):
                if channel.number in (0, PROBE_CHANNEL) or connection.is_closed:
                    channel.record_inbox()
                else:
                    channel.barrier()
                    channel.show_confirms()


@dataclass(frozen=True)
class Scenario:
    """A named conversation."""

    name: str
    play: Callable[[Stage], None]

    @property
    def noun(self) -> str:
        return self.name.partition(".")[0]

    @property
    def needs_administration(self) -> bool:
        """Say whether it sets policies, which clients cannot."""
        return self.noun.startswith("policies")


_SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Callable[[Stage], None]) -> Callable[[Stage], None]:
    """Register a function as a scenario."""
    _register(_full_name(function), function)
    return function


def cases(**values: Any) -> Callable[[Callable[[Stage, Any], None]], Callable[[Stage, Any], None]]:
    """Register a function once for each named value."""

    def register(function: Callable[[Stage, Any], None]) -> Callable[[Stage, Any], None]:
        for label, value in values.items():
            _register(f"{_full_name(function)}[{label}]", partial(_play_case, function, value))
        return function

    return register


def _aside(policy: Policy) -> str:
    """Say what else is particular of a policy."""
    priority = f", priority {policy.priority}" if policy.priority else ""
    return priority + (f", for {policy.apply_to}" if policy.apply_to != ALL else "")


def _play_case(function: Callable[[Stage, Any], None], value: Any, stage: Stage) -> None:
    function(stage, value)


def _full_name(function: Callable[..., None]) -> str:
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


def _register(name: str, play: Callable[[Stage], None]) -> None:
    if name in _SCENARIOS:
        raise ValueError(f"two scenarios are named {name}")
    if any(short_hash(name) == short_hash(other) for other in _SCENARIOS):
        raise ValueError(f"{name} would share its queues with another scenario")
    _SCENARIOS[name] = Scenario(name, play)


def chosen_scenarios(wanted: list[str]) -> list[Scenario]:
    """Return the scenarios of these files, or with one of these texts in their name; all when nothing is wanted."""
    every = all_scenarios()
    files = {scenario.noun for scenario in every}
    return [scenario for scenario in every if not wanted or any(_is_meant(text, scenario, files) for text in wanted)]


def _is_meant(text: str, scenario: Scenario, files: set[str]) -> bool:
    return scenario.noun == text if text in files else text in scenario.name


def short_hash(text: str) -> str:
    """Return a name of five characters, always the same for the same text."""
    number = zlib.crc32(text.encode())
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return "".join(digits[number // 36**place % 36] for place in range(5))


def all_scenarios() -> list[Scenario]:
    """Import every file of `scenarios` and return what they define, in order."""
    from interop.differential import scenarios

    for module in sorted(found.name for found in pkgutil.iter_modules(scenarios.__path__)):
        importlib.import_module(f"{scenarios.__name__}.{module}")
    return list(_SCENARIOS.values())
