"""Who waits for replies: names that end with their consumers."""

from collections.abc import Iterable

import pytest

from amqpy_broker.core.direct_replies import REPLY_PREFIX, REPLY_TO, DirectReplies, ReplyReceiver
from amqpy_broker.core.message import Message
from amqpy_broker.core.names import NameSource
from tests.fakes import FakeMessage


class FakeReceiver(ReplyReceiver):
    def __init__(self) -> None:
        self.received: list[Message] = []

    @property
    def memory_bytes(self) -> int:
        return sum(message.memory_size for message in self.received)

    def receive(self, message: Message) -> None:
        self.received.append(message)


@pytest.fixture
def replies() -> DirectReplies:
    return DirectReplies(NameSource(1))


def opened(replies: DirectReplies, count: int) -> Iterable[tuple[str, FakeReceiver]]:
    receivers = [FakeReceiver() for _ in range(count)]
    return [(replies.open(receiver), receiver) for receiver in receivers]


def test_each_receiver_has_a_name_of_its_own(replies: DirectReplies) -> None:
    names = {name for name, _ in opened(replies, 10)}

    assert len(names) == 10
    assert all(name.startswith(REPLY_PREFIX) and replies.exists(name) for name in names)


def test_a_message_reaches_those_it_names_once(replies: DirectReplies) -> None:
    (one, first), (_, second), (three, third) = opened(replies, 3)
    message = FakeMessage("reply")

    replies.deliver((one, three, one, REPLY_PREFIX + "nobody"), message)

    assert (first.received, second.received, third.received) == ([message], [], [message])


def test_a_name_ends_with_its_receiver(replies: DirectReplies) -> None:
    ((name, receiver),) = opened(replies, 1)

    replies.close(name)
    replies.deliver((name,), FakeMessage("late"))

    assert receiver.received == []
    assert not replies.exists(name)


def test_the_general_name_is_always_there_and_nobody_hears_it(replies: DirectReplies) -> None:
    ((_, receiver),) = opened(replies, 1)

    replies.deliver((REPLY_TO,), FakeMessage("lost"))

    assert replies.exists(REPLY_TO)
    assert receiver.received == []


def test_what_waits_counts(replies: DirectReplies) -> None:
    (one, _), (two, _) = opened(replies, 2)

    replies.deliver((one, two), FakeMessage("12345"))

    assert replies.memory_bytes == 10
