"""A witness changes nothing: a client hears the same, octet for octet, whether somebody watches or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp.commands import Basic, Channel, Confirm, Queue, Tx

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.profile import profile_named
from amqpy_broker.testing.history import History
from amqpy_broker.testing.records import Acked, Delivered, Dropped, Published, Rejected, Requeued
from amqpy_broker.testing.witness import VhostWitness
from tests.wire import Client, ManualClock, read

QUEUES: dict[str, dict[str, Any]] = {
    "plain": {},
    "quorum": {"x-queue-type": "quorum", "x-delivery-limit": 2},
    "priority": {"x-max-priority": 2},
    "values": {"x-last-value-key": "k"},
    "groups": {"x-message-groups": True},
    "retry": {"x-delayed-retry-type": "all", "x-delayed-retry-min": 1000},
    "short": {"x-max-length": 2, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "plain"},
    "full": {"x-max-length": 2, "x-overflow": "reject-publish"},
    "mortal": {"x-message-ttl": 1000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "quorum"},
    "unique": {"x-message-deduplication": True},
}
names = st.sampled_from(sorted(QUEUES))


def publishing(queue: str, value: int, mandatory: bool) -> Callable[[Client], None]:
    headers = {"k": value, "x-message-group": str(value), "x-deduplication-header": str(value)}
    return lambda client: client.publish(
        "", queue, b"%d" % value, headers=headers, priority=value, delivery_mode=2, mandatory=mandatory
    )


def saying(shape: Any, **fields: Any) -> Callable[[Client], None]:
    return lambda client: client.send(shape, **fields)


def flocks(queue: str, count: int) -> Callable[[Client], None]:
    def publish_flock(client: Client) -> None:
        for _ in range(count):
            client.publish("", queue, b"same")

    return publish_flock


def reopening(client: Client) -> None:
    client.send(Channel.Close, reply_code=200)
    client.send(Channel.Open)


steps = st.one_of(
    st.builds(publishing, names | st.just("nowhere"), st.integers(0, 2), st.booleans()),
    st.builds(flocks, names, st.integers(1, 4)),
    st.builds(lambda queue, no_ack: saying(Basic.Get, queue=queue, no_ack=no_ack), names, st.booleans()),
    st.builds(
        lambda queue, no_ack: saying(Basic.Consume, queue=queue, consumer_tag=queue, no_ack=no_ack),
        names,
        st.booleans(),
    ),
    st.builds(lambda queue: saying(Basic.Cancel, consumer_tag=queue), names),
    st.builds(lambda tag, many: saying(Basic.Ack, delivery_tag=tag, multiple=many), st.integers(0, 6), st.booleans()),
    st.builds(
        lambda tag, many, back: saying(Basic.Nack, delivery_tag=tag, multiple=many, requeue=back),
        st.integers(0, 6),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(lambda count: saying(Basic.Qos, prefetch_count=count), st.integers(0, 2)),
    st.builds(lambda queue: saying(Queue.Purge, queue=queue), names),
    st.builds(lambda queue: saying(Queue.Delete, queue=queue), names),
    st.just(saying(Basic.Recover, requeue=True)),
    st.just(saying(Tx.Select)),
    st.just(saying(Tx.Commit)),
    st.just(saying(Tx.Rollback)),
    st.just(saying(Confirm.Select)),
    st.just(reopening),
    st.just(lambda client: client.pass_time(1.5)),
)


def connect(profile: str) -> Client:
    core = BrokerCore(profile_named(profile), clock=ManualClock(), seed=1)
    return Client(core).open()


def declare_all(client: Client) -> None:
    for name, arguments in QUEUES.items():
        client.call(Queue.Declare, queue=name, durable=True, arguments=arguments)


@given(st.lists(steps, max_size=40), st.sampled_from(["3.10", "4.0", "4.3"]))
@settings(max_examples=150, deadline=None)
def test_a_client_hears_the_same_whether_somebody_watches_or_not(
    program: list[Callable[[Client], None]], profile: str
) -> None:
    plain, watched = connect(profile), connect(profile)
    history = History()
    core = watched.broker
    core.watch(lambda vhost: VhostWitness(core, vhost, history, [], lambda name: ""))
    for client in (plain, watched):
        declare_all(client)
    for step in program:
        for client in (plain, watched):
            step(client)
        heard = plain.output.take()
        assert watched.output.take() == heard
        # A refusal closes the channel: the program goes on on a new one.
        if "Channel.Close" in [said.name for said in read(heard)]:
            for client in (plain, watched):
                client.send(Channel.CloseOk)
                client.call(Channel.Open)
    check_books(core, history)


def check_books(core: BrokerCore, history: History) -> None:
    """Find that what was delivered is settled or unacknowledged, and that nothing is gone without a record."""
    queues = core.vhosts["/"].queues
    delivered = [record for record in history.records(Delivered, "/") if not record.no_ack]
    ended = [record for kind in (Acked, Rejected, Requeued) for record in history.records(kind, "/")]
    assert len(delivered) - len(ended) == len(history.unsettled())
    assert {record.delivery.number for record in ended} <= {record.number for record in delivered}
    for name, queue in queues.items():
        held = [record for record in history.unsettled() if record.queue == name]
        assert queue.unacked_count <= len(held)
    if not any(record.reason == "queue deleted" for record in history.records(Dropped, "/")):
        for name, queue in queues.items():
            assert queue.unacked_count == sum(record.queue == name for record in history.unsettled())
    for record in history.records(Published, "/"):
        assert not (record.returned and record.unrouted)
