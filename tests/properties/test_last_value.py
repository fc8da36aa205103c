"""The last-value queue against a naive oracle: it keeps the newest message of each key, in order."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.queues.base import Queue, QueuedMessage
from amqpy_broker.core.queues.last_value import LastValueQueue
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.settings import QueueSettings
from tests.core.durable import Durable
from tests.fakes import FakeMessage, FakeSurroundings
from tests.properties.test_journal import TINY

KEYS = ("a", "b", "c", "d", "e", "f", None)
# What is done: a key is published, or for None nothing has one; the first is taken; one that was taken is settled or
# comes back.
STEPS = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from(KEYS)),
    st.tuples(st.just("get"), st.none()),
    st.tuples(st.sampled_from(("settle", "requeue")), st.integers(0, 5)),
)


class Oracle:
    """A list of places: each has its key and the number of the message that holds it."""

    def __init__(self) -> None:
        self.ready: list[tuple[int, str | None, int]] = []
        self.unacked: list[tuple[int, str | None, int]] = []
        self.newest: dict[str, int] = {}

    def publish(self, key: str | None, number: int) -> None:
        for at, (place, known, _) in enumerate(self.ready):
            if key is not None and known == key:
                self.ready[at] = (place, key, number)
                return
        self.ready.append((number, key, number))
        if key is not None:
            self.newest[key] = number

    def get(self) -> int | None:
        if not self.ready:
            return None
        self.unacked.append(self.ready.pop(0))
        return self.unacked[-1][2]

    def settle(self, at: int) -> None:
        del self.unacked[at]

    def requeue(self, at: int) -> None:
        place, key, number = self.unacked.pop(at)
        if key is None or self.newest[key] == place:
            self.ready = sorted([*self.ready, (place, key, number)])


@given(steps=st.lists(STEPS, max_size=40))
def test_it_keeps_the_newest_of_each_key_in_order(steps: list[tuple[str, str | int | None]]) -> None:
    settings = QueueSettings(last_value_key="k")
    play(LastValueQueue(QueueProperties("q", "/", settings=settings), FakeSurroundings()), steps)


@given(steps=st.lists(STEPS, max_size=60), sync_every=st.integers(1, 5))
def test_it_does_so_on_disk(steps: list[tuple[str, str | int | None]], sync_every: int) -> None:
    broker = Durable(window=TINY)
    queue = broker.vhost.create_queue("q", durable=True, arguments=arguments({"x-last-value-key": "k"}))

    def page_out(number: int) -> None:
        if number % sync_every == 0:
            broker.sync()
            queue.page_out(10_000)

    # So that there is something to begin with.
    play(queue, [*(("publish", key) for key in KEYS), *steps], after_step=page_out)
    broker.sync()
    assert not broker.disk.messages


def play(
    queue: Queue, steps: list[tuple[str, str | int | None]], *, after_step: Callable[[int], None] = lambda number: None
) -> None:
    oracle = Oracle()
    unacked: list[QueuedMessage] = []
    for number, (what, with_what) in enumerate(steps):
        if what == "publish":
            assert with_what is None or isinstance(with_what, str)
            queue.enqueue(FakeMessage(str(number), headers=arguments({"k": with_what}), persistent=number % 4 > 0))
            oracle.publish(with_what, number)
        elif what == "get":
            queued, expected = queue.get(), oracle.get()
            assert (None if queued is None else number_of(queued)) == expected
            if queued is not None:
                unacked.append(queued)
        elif unacked:
            assert isinstance(with_what, int)
            at = with_what % len(unacked)
            if what == "settle":
                queue.settle(unacked.pop(at))
                oracle.settle(at)
            else:
                queue.requeue([unacked.pop(at)])
                oracle.requeue(at)
        assert queue.ready_count == len(oracle.ready)
        keys = [key for _, key, _ in oracle.ready if key is not None]
        assert len(keys) == len(set(keys))
        after_step(number)
    drained = list(iter(queue.get, None))
    assert [number_of(queued) for queued in drained] == [number for _, _, number in oracle.ready]
    for queued in [*drained, *unacked]:
        queue.settle(queued)
    assert queue.memory_bytes == 0


def number_of(queued: QueuedMessage) -> int:
    return int(queued.message.body)
