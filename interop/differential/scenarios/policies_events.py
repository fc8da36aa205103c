"""What the event exchange tells of policies [rabbitmq.com/docs/event-exchange]."""

from __future__ import annotations

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, scenario
from interop.differential.scenarios.policies_matching import queue_of
from interop.differential.tables import show

EVENTS = "amq.rabbitmq.event"
KEYS = ("policy.*", "*.policy.*", "parameter.*")


def listening(s: Stage) -> tuple[Channel, str]:
    """Open a channel, and return it with a queue for all events of policies."""
    a = s.channel()
    q = s.declared_queue(a, "listener")
    for key in KEYS:
        a.call_unseen("queue.bind", queue=q, exchange=EVENTS, routing_key=key)
    # Only after a while 4.0 notices that somebody listens.
    s.pace.pass_s(0.3)
    return a, q


def show_events(s: Stage, a: Channel, queue: str) -> None:
    """Show the events that came, but for those of other scenarios and for their times."""
    s.wait(100)
    own = "." + queue.rpartition(".")[2]
    while (reply := a.call_unseen("basic.get", queue=queue, no_ack=True)) is not None and reply.content is not None:
        properties = reply.content.properties
        headers = properties.pop("headers")
        shown, told = _sorted(headers), str(headers)
        if own in told and "exchange-delete-in-progress" not in told:
            assert shown.pop("timestamp_in_ms")
            assert properties.pop("timestamp")
            a.note(f"{reply['routing_key']} {_line(shown)} with {_line(properties)}")


def _sorted(table: object) -> dict[str, object]:
    """Sort headers by their keys, which 4.0 does and 3.10 does not; and 3.10 writes some of them twice."""
    assert isinstance(table, list)
    values = {key: _sorted(value.value) if value.tag == "F" else value for key, value in table}
    return dict(sorted(values.items()))


def _line(table: dict[str, object]) -> str:
    shown = ((key, _line(value) if isinstance(value, dict) else show(value)) for key, value in table.items())
    return "{" + ", ".join(f"{key}={value}" for key, value in shown) + "}"


@scenario
def a_policy_comes_changes_and_goes(s: Stage) -> None:
    a, events = listening(s)
    queue_of(s, a, "classic")
    s.set_policy({"max-length": 5, "dead-letter-exchange": "x"}, on=s.pattern("q"), priority=3)
    show_events(s, a, events)
    s.set_policy({"max-length": 5, "dead-letter-exchange": "x"}, on=s.pattern("q"), priority=3)
    show_events(s, a, events)
    s.set_policy({"max-length": 6}, on=s.pattern("q"), apply_to="queues")
    show_events(s, a, events)
    s.clear_policy()
    show_events(s, a, events)
    s.clear_policy()
    show_events(s, a, events)


@scenario
def an_operator_policy_comes_and_goes(s: Stage) -> None:
    a, events = listening(s)
    queue_of(s, a, "quorum")
    s.set_policy({"max-length": 5, "expires": 3_600_000}, on=s.pattern("q"), operators=True)
    show_events(s, a, events)
    s.clear_policy(operators=True)
    show_events(s, a, events)


@scenario
def a_policy_that_does_not_count(s: Stage) -> None:
    a, events = listening(s)
    queue_of(s, a, "classic")
    s.set_policy({"max-length": 5}, name="high", on=s.pattern("q"), priority=1)
    show_events(s, a, events)
    s.set_policy({"max-length": 6}, name="low", on=s.pattern("q"))
    show_events(s, a, events)
    s.clear_policy("high")
    show_events(s, a, events)
    s.set_policy({"max-length": 6}, name="low", on=s.pattern("nothing"))
    show_events(s, a, events)


@scenario
def a_policy_of_exchanges(s: Stage) -> None:
    a, events = listening(s)
    s.declared_exchange(a, "direct")
    s.set_policy({"alternate-exchange": "x"}, on=s.pattern("x"), apply_to="exchanges")
    show_events(s, a, events)
    s.clear_policy()
    show_events(s, a, events)


@scenario
def a_refused_policy(s: Stage) -> None:
    a, events = listening(s)
    s.set_policy({"max-length": -1}, on=s.pattern("q"))
    s.set_policy({"max-length": -1}, on=s.pattern("q"), operators=True)
    show_events(s, a, events)
