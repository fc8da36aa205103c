"""Consuming through aio-pika: prefetch, settling, redelivery, cancellation, iterators, many consumers at once."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

pytest.importorskip("aio_pika")

import aiormq.exceptions
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue

from interop.clients.python.support.inbox import Inbox

Namer = Callable[[str], str]


async def test_a_hundred_consumers_share_a_queue_and_each_message_goes_to_one(
    connection: AbstractConnection, name: Namer
) -> None:
    message_count = 2000
    publisher = await connection.channel()
    queue_name = (await publisher.declare_queue(name("shared"), exclusive=True)).name
    received: Counter[bytes] = Counter()
    busy: Counter[int] = Counter()
    is_complete = asyncio.Event()

    async def consume(number: int, channel: AbstractChannel) -> None:
        async def on_message(message: AbstractIncomingMessage) -> None:
            received[message.body] += 1
            busy[number] += 1
            await message.ack()
            if received.total() == message_count:
                is_complete.set()

        await (await channel.get_queue(queue_name, ensure=False)).consume(on_message)

    channels = [await connection.channel() for _ in range(10)]
    for channel in channels:
        await channel.set_qos(prefetch_count=5)
    await asyncio.gather(*(consume(number, channels[number % 10]) for number in range(100)))
    result = (await publisher.declare_queue(queue_name, passive=True)).declaration_result
    assert result.consumer_count == 100
    await asyncio.gather(
        *(publisher.default_exchange.publish(Message(str(n).encode()), queue_name) for n in range(message_count))
    )
    await asyncio.wait_for(is_complete.wait(), 30)
    assert received == Counter({str(n).encode(): 1 for n in range(message_count)})
    assert len(busy) == 100


async def test_consumers_take_turns(connection: AbstractConnection, name: Namer) -> None:
    channel = await connection.channel()
    queue = await channel.declare_queue(name("turns"), exclusive=True)
    inboxes = [Inbox() for _ in range(4)]
    for inbox in inboxes:
        await queue.consume(inbox, no_ack=True)
    for number in range(20):
        await channel.default_exchange.publish(Message(str(number).encode()), queue.name)
    shares = [{int(body) % 4 for body in await inbox.take_bodies(5)} for inbox in inboxes]
    assert sorted(shares, key=min) == [{0}, {1}, {2}, {3}]


async def test_prefetch_bounds_what_is_unacknowledged(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("limited"), exclusive=True)
    await channel.set_qos(prefetch_count=3)
    await _publish(channel, queue, 10)
    inbox = Inbox()
    await queue.consume(inbox)
    messages = await inbox.take(3)
    assert await _ready_count(channel, queue) == 7
    await messages[0].ack()
    messages += await inbox.take(1)
    assert await _ready_count(channel, queue) == 6
    await messages[-1].ack(multiple=True)
    assert await inbox.take_bodies(3) == [b"4", b"5", b"6"]
    assert await _ready_count(channel, queue) == 3


async def test_a_prefetch_of_zero_means_no_limit(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("unlimited"), exclusive=True)
    await channel.set_qos(prefetch_count=0)
    await _publish(channel, queue, 300)
    inbox = Inbox()
    await queue.consume(inbox)
    assert len(await inbox.take(300)) == 300
    assert await _ready_count(channel, queue) == 0


async def test_a_global_prefetch_is_shared_by_the_channels_consumers(channel: AbstractChannel, name: Namer) -> None:
    queues = [await channel.declare_queue(name(stem), exclusive=True) for stem in ("left", "right")]
    await channel.set_qos(prefetch_count=3, global_=True)
    inbox = Inbox()
    for queue in queues:
        await queue.consume(inbox)
        await _publish(channel, queue, 5)
    messages = await inbox.take(3)
    assert sum([await _ready_count(channel, queue) for queue in queues]) == 7
    for _ in range(7):
        await messages.pop().ack()
        messages += await inbox.take(1)
    assert sum([await _ready_count(channel, queue) for queue in queues]) == 0


async def test_prefetch_counts_each_consumer_of_the_channel_alone(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("limited"), exclusive=True)
    await channel.set_qos(prefetch_count=2)
    inboxes = Inbox(), Inbox()
    for inbox in inboxes:
        await queue.consume(inbox)
    await _publish(channel, queue, 10)
    for inbox in inboxes:
        await inbox.take(2)
    assert await _ready_count(channel, queue) == 6


async def test_a_requeued_message_returns_to_its_place_marked_redelivered(
    channel: AbstractChannel, name: Namer
) -> None:
    queue = await channel.declare_queue(name("ordered"), exclusive=True)
    await _publish(channel, queue, 4)
    messages = [await queue.get() for _ in range(3)]
    assert not any(message.redelivered for message in messages)
    await messages[0].reject(requeue=True)
    await messages[2].nack(requeue=True)
    await messages[1].nack(requeue=True)
    again = [await queue.get(no_ack=True) for _ in range(4)]
    assert [(message.body, message.redelivered) for message in again] == [
        (b"0", True),
        (b"1", True),
        (b"2", True),
        (b"3", False),
    ]


async def test_nack_multiple_settles_everything_up_to_its_tag(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("ordered"), exclusive=True)
    await _publish(channel, queue, 5)
    messages = [await queue.get() for _ in range(5)]
    await messages[2].nack(multiple=True, requeue=True)
    await messages[4].ack(multiple=True)
    assert [(await queue.get(no_ack=True)).body for _ in range(3)] == [b"0", b"1", b"2"]
    assert await queue.get(fail=False) is None


async def test_a_rejected_message_is_gone(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("rejecting"), exclusive=True)
    await _publish(channel, queue, 2)
    await (await queue.get()).reject(requeue=False)
    await (await queue.get()).nack(requeue=False)
    assert await _ready_count(channel, queue) == 0


async def test_message_process_settles_by_the_outcome_of_its_block(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("processed"), exclusive=True)
    await _publish(channel, queue, 1)

    async def fail_to_process() -> None:
        async with (await queue.get()).process(requeue=True):
            raise LookupError

    with pytest.raises(LookupError):
        await fail_to_process()
    message = await queue.get()
    assert message.redelivered
    async with message.process():
        pass
    assert await queue.get(fail=False) is None


async def test_what_a_closed_channel_did_not_acknowledge_comes_back_in_order(
    connection: AbstractConnection, channel: AbstractChannel, name: Namer
) -> None:
    queue = await channel.declare_queue(name("returned"), exclusive=True)
    await _publish(channel, queue, 5)
    async with connection.channel() as lost:
        inbox = Inbox()
        await (await lost.get_queue(queue.name)).consume(inbox)
        messages = await inbox.take(5)
        await messages[1].ack()
    again = [await queue.get(no_ack=True) for _ in range(4)]
    assert [(message.body, message.redelivered) for message in again] == [
        (body, True) for body in (b"0", b"2", b"3", b"4")
    ]


async def test_acknowledging_twice_closes_the_channel(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("acked"), exclusive=True)
    await _publish(channel, queue, 1)
    message = await queue.get()
    await message.ack()
    assert message.delivery_tag is not None
    underlay = await channel.get_underlay_channel()
    await underlay.basic_ack(message.delivery_tag)
    with pytest.raises(aiormq.exceptions.ChannelPreconditionFailed) as caught:
        await underlay.closing
    assert caught.value.args[-1] == "PRECONDITION_FAILED - unknown delivery tag 1"


async def test_deleting_a_queue_cancels_its_consumers(
    connection: AbstractConnection, channel: AbstractChannel, name: Namer
) -> None:
    queue = await channel.declare_queue(name("doomed"), exclusive=True)
    tag = await queue.consume(Inbox())
    underlay = await channel.get_underlay_channel()
    assert tag in underlay.consumers
    async with connection.channel() as other:
        await other.queue_delete(queue.name)
    # aio-pika 9 tells nobody, so ask: each round trip takes in what the broker sent before its answer.
    async with asyncio.timeout(10):
        while tag in underlay.consumers:
            await channel.set_qos(prefetch_count=1)


async def test_an_exclusive_consumer_keeps_others_out(connection: AbstractConnection, name: Namer) -> None:
    channel = await connection.channel()
    queue = await channel.declare_queue(name("sole"), exclusive=True)
    tag = await queue.consume(Inbox(), exclusive=True)
    async with connection.channel() as other:
        handle = await other.get_queue(queue.name)
        with pytest.raises(aiormq.exceptions.ChannelAccessRefused) as caught:
            await handle.consume(Inbox())
    assert caught.value.args[-1] == f"ACCESS_REFUSED - queue '{queue.name}' in vhost '/' in exclusive use"
    await queue.cancel(tag)
    await queue.consume(Inbox())


async def test_a_queue_iterator_gives_messages_until_its_timeout(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("iterated"), exclusive=True)
    await _publish(channel, queue, 3)
    bodies = []

    async def iterate() -> None:
        async with queue.iterator(timeout=0.3) as iterator:
            async for message in iterator:
                async with message.process():
                    bodies.append(message.body)

    with pytest.raises(asyncio.TimeoutError):
        await iterate()
    assert bodies == [b"0", b"1", b"2"]
    result = (await channel.declare_queue(queue.name, passive=True)).declaration_result
    assert (result.message_count, result.consumer_count) == (0, 0)


async def test_a_queue_iterator_gives_back_what_it_buffered(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("iterated"), exclusive=True)
    await channel.set_qos(prefetch_count=10)
    await _publish(channel, queue, 10)
    async with queue.iterator() as iterator:
        async for message in iterator:
            await message.ack()
            break
    assert [(await queue.get(no_ack=True)).body for _ in range(9)] == [str(n).encode() for n in range(1, 10)]


async def test_a_consumer_without_acks_gets_all_of_a_waiting_queue_in_order(
    channel: AbstractChannel, name: Namer
) -> None:
    queue = await channel.declare_queue(name("waiting"), exclusive=True)
    await _publish(channel, queue, 1000)
    inbox = Inbox()
    await queue.consume(inbox, no_ack=True)
    assert await inbox.take_bodies(1000) == [str(n).encode() for n in range(1000)]


async def test_a_cancelled_consumer_gets_nothing_more(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("cancelled"), exclusive=True)
    inbox = Inbox()
    tag = await queue.consume(inbox, consumer_tag="mine")
    assert tag == "mine"
    await queue.cancel(tag)
    await _publish(channel, queue, 1)
    assert await _ready_count(channel, queue) == 1
    assert len(inbox) == 0


async def _publish(channel: AbstractChannel, queue: AbstractQueue, count: int) -> None:
    """Publish b"0", b"1", ... in order and wait for all confirms."""
    await asyncio.gather(
        *(channel.default_exchange.publish(Message(str(number).encode()), queue.name) for number in range(count))
    )


async def _ready_count(channel: AbstractChannel, queue: AbstractQueue) -> int:
    count = (await channel.declare_queue(queue.name, passive=True)).declaration_result.message_count
    assert count is not None
    return count
