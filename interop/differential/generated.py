"""Conversations made up by Hypothesis over a few connections, queues and exchanges, and shrunk when brokers differ.

After every step both sides are given time to come to rest: round trips to each queue and on each channel until nothing
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

STEPS_COUNT_MAX = 40
# RabbitMQ's queues are processes: which of two that wait for the same channel comes first is up to chance.
TRIES_COUNT = 5
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


# How often a verb is drawn, against 1 for the others: most of a conversation should be messages on their way.
_OFTEN = 6
_SOMETIMES = 3


def _steps() -> st.SearchStrategy[Step]:
    channel = st.integers(0, 3)
    queue = st.sampled_from(_QUEUES)
    exchange = st.sampled_from(tuple(_EXCHANGES))
    key = st.sampled_from(_KEYS)
    flag = st.booleans()
    seldom = st.sampled_from((False, False, False, False, True))
    often = st.sampled_from((True, True, True, True, False))
    # Which of the deliveries that are not settled yet, counted from the oldest.
    position = st.integers(0, 4)

    def step(verb: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
        return st.builds(Step, channel, st.just(verb), st.fixed_dictionaries(fields))

    usual = [
        step("publish", exchange=st.just(""), to=queue, mandatory=flag),
        step("publish", exchange=exchange, to=key, mandatory=flag),
        step("basic.consume", queue=queue, consumer_tag=st.sampled_from("abc"), no_ack=seldom, exclusive=seldom),
        step("settle", name=st.just("basic.ack"), position=position, multiple=flag),
        step("settle", name=st.just("basic.nack"), position=position, multiple=flag, requeue=often),
    ]
    occasional = [
        step("basic.get", queue=queue, no_ack=flag),
        step("basic.qos", prefetch_count=st.integers(0, 3), global_=flag),
        step("basic.cancel", consumer_tag=st.sampled_from("abc")),
        step("settle", name=st.just("basic.reject"), position=position, requeue=often),
        step("channel.close", reply_code=st.just(200)),
        step("queue.bind", queue=queue, exchange=exchange, routing_key=key),
        step("exchange.bind", source=exchange, destination=exchange, routing_key=key),
        step("confirm.select"),
        step("tx.commit"),
    ]
    rare = [
        step("queue.declare", queue=queue, durable=seldom, auto_delete=flag),
        step("queue.declare", queue=queue, passive=st.just(True)),
        step("queue.delete", queue=queue, if_unused=flag, if_empty=flag),
        step("queue.purge", queue=queue),
        step("queue.unbind", queue=queue, exchange=exchange, routing_key=key),
        step("exchange.declare", exchange=exchange, durable=seldom, auto_delete=flag),
        step("exchange.delete", exchange=exchange, if_unused=flag),
        step("exchange.unbind", source=exchange, destination=exchange, routing_key=key),
        step("basic.recover", requeue=st.just(True)),
        step("basic.ack", delivery_tag=st.integers(0, 9), multiple=flag),
        step("tx.select"),
        step("tx.rollback"),
        step("connection.close"),
    ]
    # `one_of` would count repeated strategies once.
    return st.sampled_from(usual * _OFTEN + occasional * _SOMETIMES + rare).flatmap(lambda chosen: chosen)


class _Actors:
    """Two connections with two channels each, opened again whenever the broker closed them."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._names = {label: stage.queue(label) for label in _QUEUES}
        self._names |= {label: stage.exchange(label) for label in _EXCHANGES}
        connections = [stage.connection(), stage.connection()]
        self._channels = [connection.channel() for connection in connections for _ in range(2)]
        self._published_count = 0
        self._no_ack: set[tuple[int, str]] = set()
        self._set_the_stage()

    def _set_the_stage(self) -> None:
        """Declare everything and bind the queues, so that most conversations have something to talk about."""
        first = self._channels[0]
        for label in _QUEUES:
            first.call_unseen("queue.declare", queue=self._names[label])
        for label, kind in _EXCHANGES.items():
            first.call_unseen("exchange.declare", exchange=self._names[label], exchange_type=kind)
            first.call_unseen("queue.bind", queue=self._names["q1"], exchange=self._names[label], routing_key=_KEYS[0])

    def act(self, step: Step) -> None:
        """Do one step and wait until nothing more comes of it."""
        channel = self._channel(step.channel)
        fields = {name: self._names.get(value, value) for name, value in step.fields.items() if value is not False}
        match step.verb:
            case "publish":
                self._published_count += 1
                channel.publish(f"m{self._published_count}", **fields)
            case "settle":
                self._settle(channel, **fields)
            case "basic.ack":
                channel.send(step.verb, **fields)
            case "exchange.declare":
                channel.call(step.verb, exchange_type=_EXCHANGES[step.fields["exchange"]], **fields)
            case "connection.close":
                channel.connection.close()
            case "channel.close":
                channel.call(step.verb, **fields)
                channel.is_open = False
            case _:
                channel.call(step.verb, **fields)
        if fields.get("no_ack") and step.verb == "basic.consume":
            self._no_ack.add((step.channel, step.fields["consumer_tag"]))
        elif fields.get("no_ack"):
            del channel.handed_out[-1:]
        self._come_to_rest()

    def _settle(self, channel: Channel, name: str, position: int, **fields: Any) -> None:
        """Settle one of the deliveries that are outstanding, if there are so many."""
        place = self._channels.index(channel)
        tags = [
            method["delivery_tag"]
            for method in channel.handed_out
            if (place, method.fields.get("consumer_tag")) not in self._no_ack
        ]
        if position >= len(tags):
            return
        tag = tags[position]
        settled = tags[: position + 1] if fields.get("multiple") else [tag]
        channel.handed_out = [method for method in channel.handed_out if method["delivery_tag"] not in settled]
        channel.send(name, delivery_tag=tag, **fields)

    def _channel(self, position: int) -> Channel:
        channel = self._channels[position]
        if channel.connection.is_closed:
            connection = self._stage.connection()
            for each in sorted((position, position ^ 1)):
                self._renew(each, connection.channel())
        elif not channel.is_open:
            self._renew(position, channel.connection.channel(channel.number))
        return self._channels[position]

    def _renew(self, position: int, channel: Channel) -> None:
        self._channels[position] = channel
        self._no_ack = {(place, tag) for place, tag in self._no_ack if place != position}

    def _come_to_rest(self) -> None:
        """Go round all queues and channels until twice in a row nothing has changed."""
        quiet_count = 0
        for _ in range(_ROUNDS_COUNT_MAX):
            before = [len(channel.inbox) for channel in self._channels]
            probe = next((channel for channel in self._channels if not channel.connection.is_closed), None)
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
        found = ours.play(scenario)
        expected = [theirs.play(scenario)]
        while found not in expected:
            if len(expected) == TRIES_COUNT:
                raise DifferenceFoundError("\n".join(_show(steps, expected[0], found)))
            expected.append(theirs.play(scenario))

    conversation = st.lists(_steps(), min_size=10, max_size=STEPS_COUNT_MAX)
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
