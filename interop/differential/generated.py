"""Conversations made up by Hypothesis over a few connections, queues and exchanges, and shrunk when brokers differ.

After every step both sides are given time to come to rest: a round trip to each queue and on each channel, until nothing
new arrives. So what a transcript shows depends on the steps alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from interop.differential.channel import Channel
from interop.differential.compare import show_difference
from interop.differential.player import Player
from interop.differential.scenario import Scenario, Stage

STEPS_COUNT_MAX = 30
_ROUNDS_COUNT_MAX = 8

_QUEUES = ("q1", "q2", "q3")
_EXCHANGES = {"x1": "direct", "x2": "fanout", "x3": "topic"}
_KEYS = ("k", "k.l", "#", "*.l", "")


@dataclass(frozen=True)
class Step:
    """A verb on one of the four channels."""

    channel: int
    verb: str
    fields: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.verb} on channel {self.channel}: {self.fields}"


def _steps() -> st.SearchStrategy[Step]:
    channel = st.integers(0, 3)
    queue = st.sampled_from(_QUEUES)
    exchange = st.sampled_from(tuple(_EXCHANGES))
    key = st.sampled_from(_KEYS)
    flag = st.booleans()

    def step(verb: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
        return st.builds(Step, channel, st.just(verb), st.fixed_dictionaries(fields))

    tag = st.integers(0, 6)
    return st.one_of(
        step("queue.declare", queue=queue, durable=flag, auto_delete=flag),
        step("queue.declare", queue=queue, passive=st.just(True)),
        step("queue.delete", queue=queue, if_unused=flag, if_empty=flag),
        step("queue.purge", queue=queue),
        step("queue.bind", queue=queue, exchange=exchange, routing_key=key),
        step("queue.unbind", queue=queue, exchange=exchange, routing_key=key),
        step("exchange.declare", exchange=exchange, durable=flag, auto_delete=flag),
        step("exchange.delete", exchange=exchange, if_unused=flag),
        step("exchange.bind", source=exchange, destination=exchange, routing_key=key),
        step("exchange.unbind", source=exchange, destination=exchange, routing_key=key),
        step("publish", exchange=exchange, to=key, mandatory=flag),
        step("publish", exchange=st.just(""), to=queue, mandatory=flag),
        step("publish", exchange=st.just(""), to=queue, mandatory=flag),
        step("publish", exchange=st.just(""), to=queue, mandatory=flag),
        step("basic.get", queue=queue, no_ack=flag),
        step("basic.qos", prefetch_count=st.integers(0, 3), global_=flag),
        step("basic.consume", queue=queue, consumer_tag=st.sampled_from("abc"), no_ack=flag, exclusive=flag),
        step("basic.cancel", consumer_tag=st.sampled_from("abc")),
        step("basic.ack", delivery_tag=tag, multiple=flag),
        step("basic.nack", delivery_tag=tag, multiple=flag, requeue=flag),
        step("basic.reject", delivery_tag=tag, requeue=flag),
        step("basic.recover", requeue=st.just(True)),
        step("confirm.select"),
        step("tx.select"),
        step("tx.commit"),
        step("tx.rollback"),
        step("channel.close", reply_code=st.just(200)),
    )


class _Actors:
    """Two connections with two channels each, opened again whenever the broker closed them."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._names = {label: stage.queue(label) for label in _QUEUES}
        self._names |= {label: stage.exchange(label) for label in _EXCHANGES}
        connections = [stage.connection(), stage.connection()]
        self._channels = [connection.channel() for connection in connections for _ in range(2)]
        self._published_count = 0

    def act(self, step: Step) -> None:
        """Do one step and wait until nothing more comes of it."""
        channel = self._channel(step.channel)
        fields = {name: self._names.get(value, value) for name, value in step.fields.items() if value is not False}
        if step.verb == "publish":
            self._published_count += 1
            channel.publish(f"m{self._published_count}", **fields)
        elif step.verb in ("basic.ack", "basic.nack", "basic.reject"):
            channel.send(step.verb, **fields)
        elif step.verb == "exchange.declare":
            channel.call(step.verb, exchange_type=_EXCHANGES[step.fields["exchange"]], **fields)
        else:
            channel.call(step.verb, **fields)
            if step.verb == "channel.close":
                channel.is_open = False
        self._come_to_rest()

    def _channel(self, position: int) -> Channel:
        channel = self._channels[position]
        if channel.connection.is_closed:
            sibling = position ^ 1
            connection = self._stage.connection()
            for each in sorted((position, sibling)):
                self._channels[each] = connection.channel()
        elif not channel.is_open:
            self._channels[position] = channel.connection.channel(channel.number)
        return self._channels[position]

    def _come_to_rest(self) -> None:
        """Go round all queues and channels until twice in a row nothing has changed."""
        quiet_count = 0
        for _ in range(_ROUNDS_COUNT_MAX):
            before = [len(channel.inbox) for channel in self._channels]
            probe = next((c for c in self._channels if not c.connection.is_closed), None)
            if probe is not None:
                for queue in _QUEUES:
                    probe.ask(self._names[queue])
            for channel in self._channels:
                channel.ping()
            quiet_count = quiet_count + 1 if before == [len(channel.inbox) for channel in self._channels] else 0
            if quiet_count == 2:
                break
        for channel in self._channels:
            channel.record_inbox()
            channel.show_confirms()


def _scenario(steps: list[Step]) -> Scenario:
    def play(stage: Stage) -> None:
        actors = _Actors(stage)
        for step in steps:
            actors.act(step)

    return Scenario("generated", play)


class DifferenceFoundError(Exception):
    """Two brokers answered differently to the same steps."""


def find_difference(theirs: Player, ours: Player, *, count: int, seed_number: int | None = None) -> str | None:
    """Play so many conversations against both; return the smallest one found that differs, with its transcripts."""

    def check(steps: list[Step]) -> None:
        scenario = _scenario(steps)
        expected, found = theirs.play(scenario), ours.play(scenario)
        if expected != found:
            raise DifferenceFoundError("\n".join(_show(steps, expected, found)))

    conversation = st.lists(_steps(), min_size=3, max_size=STEPS_COUNT_MAX)
    configured = settings(
        max_examples=count,
        deadline=None,
        database=None,
        print_blob=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    test: Callable[[], None] = configured(given(conversation)(check))
    if seed_number is not None:
        test = seed(seed_number)(test)
    try:
        test()
    except DifferenceFoundError as difference:
        return str(difference)
    return None


def _show(steps: list[Step], expected: list[str], found: list[str]) -> Iterator[str]:
    yield from (str(step) for step in steps)
    yield from show_difference("generated", expected, found)
