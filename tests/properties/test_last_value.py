"""The last-value queue against a naive oracle: it keeps the newest message of each key, in order."""

from hypothesis import given
from hypothesis import strategies as st

from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.queues.base import QueuedMessage
from amqpy_broker.core.queues.last_value import LastValueQueue
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.settings import QueueSettings
from tests.fakes import FakeMessage, FakeSurroundings

# What is done: a key is published, or for None nothing has one; the first is taken; one that was taken is settled or
# comes back.
STEPS = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from(("a", "b", "c", None))),
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
    queue = LastValueQueue(QueueProperties("q", "/", settings=QueueSettings(last_value_key="k")), FakeSurroundings())
    oracle = Oracle()
    unacked: list[QueuedMessage] = []
    for number, (what, with_what) in enumerate(steps):
        if what == "publish":
            assert with_what is None or isinstance(with_what, str)
            queue.enqueue(FakeMessage(str(number), headers=arguments({"k": with_what})))
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
    assert [number_of(queued) for queued in iter(queue.get, None)] == [number for _, _, number in oracle.ready]


def number_of(queued: QueuedMessage) -> int:
    return int(queued.message.body)
