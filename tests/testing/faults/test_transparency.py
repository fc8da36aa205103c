"""Faults that never fire change nothing, and faults that do never make the broker stumble."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from anyio.abc import ByteStream
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Channel, Confirm, Queue

from amqpy_broker.protocols.amqp091.content import FramedMessage
from amqpy_broker.protocols.amqp091.output import Output
from amqpy_broker.testing.faults.desk import Desk
from amqpy_broker.testing.faults.embedded import EmbeddedBroker
from amqpy_broker.testing.faults.fault import Fault
from amqpy_broker.testing.faults.faults import Faults
from amqpy_broker.testing.link.connection import LinkedConnection
from amqpy_broker.testing.link.memory_stream import memory_streams
from amqpy_broker.testing.running.settling import Settling
from tests.conversations import Steps, conversations
from tests.wire import ManualClock, handshake, method, new_broker, publish, read

T = TypeVar("T")
MakeFault: TypeAlias = Callable[[Faults], Fault]


class OneConnection:
    """A server with one connection, as far as faults know one."""

    def __init__(self) -> None:
        self.core = new_broker()
        self.output = Output(lambda: None)
        self.desk = Desk(EmbeddedBroker(self.core, lambda: self), seed=1)  # type: ignore[arg-type,return-value]
        self.faults = Faults(self.desk, self)
        stream: ByteStream = memory_streams()[0]
        self.connection = LinkedConnection(
            self.core, self.output, stream, Settling(), name="test", peer_is_local=True, sooner=lambda: None
        )
        self.connections: Sequence[LinkedConnection] = [self.connection]

    def run_in_broker(self, action: Callable[[], T]) -> T:
        return action()

    def feed(self, octets: bytes) -> bytes:
        """Say something; return what is answered."""
        said = b""
        if not self.connection.closed:
            self.connection.receive(octets)
            while self.connection.paused and not self.connection.closed:
                said += self._take()
                self.connection.resume()
        return said + self._take()

    def wake(self) -> bytes:
        """Do what is due; return what is said then."""
        if self.connection.next_deadline_s <= self.core.clock.monotonic_s():
            self.connection.handle_deadline()
        return self._take()

    def messages(self, queue: str) -> list[FramedMessage]:
        """Take all messages out of a queue."""
        found = []
        while (queued := self.core.vhosts["/"].queues[queue].get()) is not None:
            assert isinstance(queued.message, FramedMessage)
            found.append(queued.message)
        return found

    def _take(self) -> bytes:
        said = b""
        while self.output.pieces:
            said += self.connection.data_to_send()
        return said


# None of them ever finds what it waits for.
IDLE: tuple[MakeFault, ...] = (
    lambda faults: faults.swallow("basic.*", queue="no such queue"),
    lambda faults: faults.nack_publishes(routing_key="no such key"),
    lambda faults: faults.lose_confirms(exchange="no such exchange"),
    lambda faults: faults.close_channel(406, method="queue.*", connection="somebody else"),
    lambda faults: faults.drop_connection(predicate=lambda seen: seen.queue == seen.consumer_tag == "never"),
)
BUSY: tuple[MakeFault, ...] = (
    lambda faults: faults.swallow("basic.publish", probability=0.3),
    lambda faults: faults.swallow("*.*", probability=0.1),
    lambda faults: faults.nack_publishes(probability=0.3),
    lambda faults: faults.lose_confirms(probability=0.3),
    lambda faults: faults.delay_confirms((0.1, 5)),
    lambda faults: faults.delay("basic.*", (0.1, 5), probability=0.3),
    lambda faults: faults.delay("queue.*"),
    lambda faults: faults.slow_socket(1000),
    lambda faults: faults.duplicate_deliveries(times=3),
    lambda faults: faults.reorder_redeliveries(),
    lambda faults: faults.cancel_consumers(times=2),
    lambda faults: faults.cancel_consumers(queue="q0"),
    lambda faults: faults.close_channel(406, method="basic.*", times=1),
    lambda faults: faults.close_channel(406, sent_by="broker", times=2),
    lambda faults: faults.close_channel(),
    lambda faults: faults.close_connection(method="queue.*", probability=0.1),
    lambda faults: faults.close_connection(sent_by="broker", probability=0.1),
    lambda faults: faults.corrupt_frames(damage="bits", times=3, probability=0.2),
    lambda faults: faults.corrupt_frames(probability=0.1),
    lambda faults: faults.drop_connection(probability=0.05),
    lambda faults: faults.drop_connection(how="half-open", probability=0.05),
    lambda faults: faults.memory_alarm(),
)
steps_of_faults = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(BUSY), st.integers(1, 20)), max_size=5)


def converse(steps: Steps, begin: Callable[[OneConnection, int], None]) -> list[bytes]:
    """Have a conversation, step by step."""
    server = OneConnection()
    said = [server.feed(octets) for octets in handshake(frame_max=131_072)]
    for number, octets in enumerate(steps):
        begin(server, number)
        said.append(server.feed(octets))
    server.connection.lost()
    server.desk.close()
    return said


# No mistakes: while somebody looks at frames, one that never ends is never passed on, and so not complained of.
@given(conversations(mistakes_too=False), st.integers(0, 30))
def test_faults_that_never_fire_change_nothing_wherever_they_begin(steps: Steps, at: int) -> None:
    def begin(server: OneConnection, number: int) -> None:
        if number == at:
            for make in IDLE:
                make(server.faults)

    assert b"".join(converse(steps, begin)) == b"".join(converse(steps, lambda *_: None))


@given(conversations(), steps_of_faults)
def test_whatever_goes_wrong_the_broker_does_not_stumble(steps: Steps, plan: list[tuple[int, MakeFault, int]]) -> None:
    def begin(server: OneConnection, number: int) -> None:
        clock = server.core.clock
        assert isinstance(clock, ManualClock)
        clock.advance(0.5)
        server.wake()
        for at, make, lasts in plan:
            if at == number:
                started.append((at + lasts, make(server.faults)))
        for until, fault in started:
            if until == number:
                fault.stop()

    started: list[tuple[int, Fault]] = []
    # That the broker has logged no exception is asked of every test.
    converse(steps, begin)


CONFIRM_FAULTS: tuple[MakeFault, ...] = (
    lambda faults: faults.nack_publishes(probability=0.3),
    lambda faults: faults.nack_publishes(times=2),
    lambda faults: faults.delay_confirms((0.1, 5), probability=0.5),
    lambda faults: faults.lose_confirms(probability=0.3),
    lambda faults: faults.swallow("basic.publish", probability=0.3),
)
LOSING = CONFIRM_FAULTS[3:]
runs = st.lists(
    st.tuples(st.integers(1, 6), st.integers(0, 200), st.none() | st.sampled_from(CONFIRM_FAULTS), st.booleans()),
    max_size=12,
)


@given(runs, st.booleans())
def test_what_a_publisher_is_told_is_true_whatever_is_refused_lost_or_late(
    plan: list[tuple[int, int, MakeFault | None, bool]], in_pieces: bool
) -> None:
    """Each run: some publishes, how much time passes, what begins to go wrong, whether everything else ends first."""
    server = OneConnection()
    clock = server.core.clock
    assert isinstance(clock, ManualClock)
    said = b"".join(server.feed(octets) for octets in handshake())
    said += server.feed(method(1, Channel.Open) + method(1, Queue.Declare, queue="q") + method(1, Confirm.Select))
    said = b""
    published = 0
    for count, tenths, make, ends in plan:
        if ends:
            server.faults.clear()
        if make is not None:
            make(server.faults)
        numbers = range(published + 1, published + count + 1)
        published += count
        octets = b"".join(publish(1, "", "q", b"%d" % number) for number in numbers)
        cut = len(octets) // 2 if in_pieces else 0
        said += server.feed(octets[:cut]) if cut else b""
        said += server.feed(octets[cut:])
        clock.advance(tenths / 10)
        said += server.wake()
    clock.advance(10)
    said += server.wake()

    acked, nacked = told(said, published)
    arrived = {int(message.body) for message in server.messages("q")}
    assert acked <= arrived
    assert not nacked & arrived
    if not any(make in LOSING for _, _, make, _ in plan):
        assert acked | nacked == set(range(1, published + 1))


def told(octets: bytes, published: int) -> tuple[set[int], set[int]]:
    """Read confirms as a client does; none may be about what was told before."""
    acked: set[int] = set()
    nacked: set[int] = set()
    for said in read(octets):
        assert said.name in ("Basic.Ack", "Basic.Nack")
        tag = said["delivery_tag"]
        assert 1 <= tag <= published
        meant = set(range(1, tag + 1)) - acked - nacked if said["multiple"] else {tag}
        assert tag in meant
        assert not meant & (acked | nacked)
        (acked if said.name == "Basic.Ack" else nacked).update(meant)
    return acked, nacked
