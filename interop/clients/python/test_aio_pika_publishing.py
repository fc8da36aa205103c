"""Publishing through aio-pika: confirms, mandatory returns, transactions, priorities."""

import asyncio
from collections.abc import Callable

import pytest

pytest.importorskip("aio_pika")

import aiormq
import aiormq.exceptions
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelClosed, PublishError

Namer = Callable[[str], str]


async def test_a_confirm_answers_every_publish(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("confirmed"), exclusive=True)
    message = Message(b"x", delivery_mode=DeliveryMode.PERSISTENT)
    confirms = await asyncio.gather(*(channel.default_exchange.publish(message, queue.name) for _ in range(500)))
    assert all(isinstance(confirm, aiormq.spec.Basic.Ack) for confirm in confirms)
    assert (await channel.declare_queue(queue.name, passive=True)).declaration_result.message_count == 500


async def test_confirms_count_per_channel(connection: AbstractConnection, name: Namer) -> None:
    channels = [await connection.channel() for _ in range(3)]
    queue = await channels[0].declare_queue(name("confirmed"), exclusive=True)
    for _ in range(2):
        confirms = [await channel.default_exchange.publish(Message(b"x"), queue.name) for channel in channels]
    assert [confirm.delivery_tag for confirm in confirms] == [2, 2, 2]


async def test_an_unroutable_publish_that_is_not_mandatory_is_confirmed(channel: AbstractChannel, name: Namer) -> None:
    confirm = await channel.default_exchange.publish(Message(b"x"), name("nowhere"), mandatory=False)
    assert isinstance(confirm, aiormq.spec.Basic.Ack)


async def test_a_mandatory_unroutable_message_is_returned_whole(connection: AbstractConnection, name: Namer) -> None:
    channel = await connection.channel()
    returned: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    channel.return_callbacks.add(lambda _channel, message: returned.put_nowait(message))
    exchange = await channel.declare_exchange(name("lonely"), auto_delete=True)
    body = bytes(range(256)) * 1000
    await exchange.publish(Message(body, headers={"k": "v"}, message_id="id-1"), "nobody")
    message = await asyncio.wait_for(returned.get(), 10)
    assert (message.body, message.headers, message.message_id) == (body, {"k": "v"}, "id-1")
    assert (message.exchange, message.routing_key) == (exchange.name, "nobody")


async def test_a_return_says_no_route(connection: AbstractConnection, name: Namer) -> None:
    channel = await connection.channel(on_return_raises=True)
    with pytest.raises(PublishError) as caught:
        await channel.default_exchange.publish(Message(b"x"), name("nowhere"))
    assert caught.value.message is not None
    delivery = caught.value.message.delivery
    assert (delivery.reply_code, delivery.reply_text) == (312, "NO_ROUTE")
    # The channel stays open, and its next confirm has the next tag.
    queue = await channel.declare_queue(exclusive=True)
    confirm = await channel.default_exchange.publish(Message(b"x"), queue.name)
    assert confirm.delivery_tag == 2


async def test_returns_and_confirms_of_concurrent_publishes_do_not_mix(
    connection: AbstractConnection, name: Namer
) -> None:
    channel = await connection.channel(on_return_raises=True)
    queue = await channel.declare_queue(name("there"), exclusive=True)
    keys = [queue.name if number % 3 else name("nowhere") for number in range(300)]
    outcomes = await asyncio.gather(
        *(channel.default_exchange.publish(Message(b"x"), key) for key in keys), return_exceptions=True
    )
    assert [isinstance(outcome, PublishError) for outcome in outcomes] == [key != queue.name for key in keys]


async def test_a_committed_transaction_publishes_at_once(connection: AbstractConnection, name: Namer) -> None:
    channel = await connection.channel(publisher_confirms=False)
    queue = await channel.declare_queue(name("transacted"), exclusive=True)
    async with channel.transaction():
        for number in range(3):
            await channel.default_exchange.publish(Message(str(number).encode()), queue.name)
        # On another channel, because a transaction delays nothing but publishes and acks.
        async with connection.channel() as observer:
            result = (await observer.declare_queue(queue.name, passive=True)).declaration_result
        assert result.message_count == 0
    assert [(await queue.get(no_ack=True)).body for _ in range(3)] == [b"0", b"1", b"2"]


async def test_a_rolled_back_transaction_publishes_nothing(connection: AbstractConnection, name: Namer) -> None:
    channel = await connection.channel(publisher_confirms=False)
    queue = await channel.declare_queue(name("transacted"), exclusive=True)

    async def fail_within_a_transaction() -> None:
        async with channel.transaction():
            await channel.default_exchange.publish(Message(b"lost"), queue.name)
            raise LookupError

    with pytest.raises(LookupError):
        await fail_within_a_transaction()
    assert await queue.get(fail=False) is None


async def test_acks_belong_to_the_transaction(connection: AbstractConnection, name: Namer) -> None:
    plain = await connection.channel()
    queue_name = (await plain.declare_queue(name("transacted"), exclusive=True)).name
    for body in (b"first", b"second"):
        await plain.default_exchange.publish(Message(body), queue_name)
    channel = await connection.channel(publisher_confirms=False)
    queue = await channel.get_queue(queue_name)
    transaction = channel.transaction()
    await transaction.select()
    rolled_back = await queue.get()
    await rolled_back.ack()
    await transaction.rollback()
    # Rolled back: still unacknowledged, so it may be acknowledged again (aio-pika's message thinks it is done).
    assert rolled_back.delivery_tag is not None
    await (await channel.get_underlay_channel()).basic_ack(rolled_back.delivery_tag)
    await transaction.commit()
    await (await queue.get()).ack()
    await channel.close()  # without a commit: the second message comes back
    message = await (await plain.get_queue(queue_name)).get()
    assert (message.body, message.redelivered) == (b"second", True)


async def test_a_channel_cannot_leave_confirm_mode_for_a_transaction(channel: AbstractChannel) -> None:
    underlay = await channel.get_underlay_channel()
    with pytest.raises(aiormq.exceptions.ChannelPreconditionFailed) as caught:
        await underlay.tx_select()
    assert caught.value.args[-1] == "PRECONDITION_FAILED - cannot switch from confirm to tx mode"


async def test_priorities_are_accepted_and_arrive(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("plain"), exclusive=True)
    for priority in (1, 9, 255):
        await channel.default_exchange.publish(Message(b"x", priority=priority), queue.name)
    # A queue without x-max-priority keeps the order of arrival.
    assert [(await queue.get(no_ack=True)).priority for _ in range(3)] == [1, 9, 255]


async def test_a_forged_user_id_is_refused(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("validated"), exclusive=True)
    await channel.default_exchange.publish(Message(b"x", user_id="guest"), queue.name)
    assert (await queue.get(no_ack=True)).user_id == "guest"
    with pytest.raises(ChannelClosed) as caught:
        await channel.default_exchange.publish(Message(b"x", user_id="bob"), queue.name)
    assert caught.value.args[-1] == (
        "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'"
    )
