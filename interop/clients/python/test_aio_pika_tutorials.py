"""The tutorials every RabbitMQ user has read, with aio-pika."""

import uuid
from collections.abc import Callable

import pytest

pytest.importorskip("aio_pika")

from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue

from interop.clients.python.support.inbox import Inbox

Namer = Callable[[str], str]


async def test_hello_world_reaches_the_queue_named_by_its_routing_key(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("hello"), auto_delete=True)
    inbox = Inbox()
    await queue.consume(inbox, no_ack=True)
    await channel.default_exchange.publish(Message(b"Hello World!"), queue.name)
    message = await inbox.take_one()
    assert (message.body, message.exchange, message.routing_key) == (b"Hello World!", "", queue.name)
    assert not message.redelivered


async def test_a_work_queue_shares_its_tasks_fairly_among_workers(
    connection: AbstractConnection, channel: AbstractChannel, name: Namer
) -> None:
    queue = await channel.declare_queue(name("tasks"), durable=True, exclusive=True)
    workers = []
    for _ in range(2):
        own_channel = await connection.channel()
        await own_channel.set_qos(prefetch_count=1)
        inbox = Inbox()
        await (await own_channel.get_queue(queue.name)).consume(inbox)
        workers.append(inbox)
    for number in range(6):
        task = Message(f"task {number}".encode(), delivery_mode=DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(task, queue.name)
    first, second = await workers[0].take_one(), await workers[1].take_one()
    assert {first.body, second.body} == {b"task 0", b"task 1"}
    # While the first worker is busy, everything else is the second one's.
    bodies = []
    for _ in range(4):
        await second.ack()
        second = await workers[1].take_one()
        bodies.append(second.body)
    assert bodies == [b"task 2", b"task 3", b"task 4", b"task 5"]
    assert len(workers[0]) == 0
    await first.ack()
    await second.ack()
    assert (await channel.declare_queue(queue.name, passive=True)).declaration_result.message_count == 0


async def test_publish_subscribe_gives_every_subscriber_a_copy(channel: AbstractChannel, name: Namer) -> None:
    logs = await channel.declare_exchange(name("logs"), ExchangeType.FANOUT, auto_delete=True)
    inboxes = []
    for _ in range(5):
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(logs)
        inbox = Inbox()
        await queue.consume(inbox, no_ack=True)
        inboxes.append(inbox)
    for body in (b"one", b"two"):
        await logs.publish(Message(body), routing_key="whatever")
    for inbox in inboxes:
        assert await inbox.take_bodies(2) == [b"one", b"two"]


async def test_routing_selects_by_severity(channel: AbstractChannel, name: Namer) -> None:
    logs = await channel.declare_exchange(name("direct_logs"), ExchangeType.DIRECT, auto_delete=True)
    errors = await _subscribe(channel, logs.name, "error")
    everything = await _subscribe(channel, logs.name, "info", "warning", "error")
    for severity in ("info", "error", "warning", "debug", "error"):
        await logs.publish(Message(severity.encode()), severity, mandatory=False)
    assert await _drain(errors) == [b"error", b"error"]
    assert await _drain(everything) == [b"info", b"error", b"warning", b"error"]


async def test_topics_select_by_pattern(channel: AbstractChannel, name: Namer) -> None:
    topics = await channel.declare_exchange(name("topic_logs"), ExchangeType.TOPIC, auto_delete=True)
    patterns = ("#", "kern.*", "*.critical", "kern.*.#", "*.orange.*", "lazy.#", "")
    queues = {pattern: await _subscribe(channel, topics.name, pattern) for pattern in patterns}
    keys = ("kern.critical", "kern", "quick.orange.rabbit", "lazy", "lazy.brown.fox", "", "kern.a.b", "cron.critical")
    for key in keys:
        await topics.publish(Message(key.encode()), key, mandatory=False)
    matched = {pattern: [body.decode() for body in await _drain(queue)] for pattern, queue in queues.items()}
    assert matched == {
        "#": list(keys),
        "kern.*": ["kern.critical"],
        "*.critical": ["kern.critical", "cron.critical"],
        "kern.*.#": ["kern.critical", "kern.a.b"],
        "*.orange.*": ["quick.orange.rabbit"],
        "lazy.#": ["lazy", "lazy.brown.fox"],
        "": [""],
    }


async def test_a_queue_bound_twice_to_a_topic_gets_one_copy(channel: AbstractChannel, name: Namer) -> None:
    topics = await channel.declare_exchange(name("topic_logs"), ExchangeType.TOPIC, auto_delete=True)
    queue = await _subscribe(channel, topics.name, "#", "*.b", "a.*")
    await topics.publish(Message(b"once"), "a.b")
    assert await _drain(queue) == [b"once"]


async def test_rpc_answers_come_back_on_the_callers_queue_by_correlation_id(
    connection: AbstractConnection, channel: AbstractChannel, name: Namer
) -> None:
    server_channel = await connection.channel()
    requests = await server_channel.declare_queue(name("rpc_queue"), auto_delete=True)

    async def serve(request: AbstractIncomingMessage) -> None:
        async with request.process():
            assert request.reply_to is not None
            answer = Message(str(int(request.body) ** 2).encode(), correlation_id=request.correlation_id)
            await server_channel.default_exchange.publish(answer, request.reply_to)

    await requests.consume(serve)
    callback_queue = await channel.declare_queue(exclusive=True)
    answers = Inbox()
    await callback_queue.consume(answers, no_ack=True)
    expected = {}
    for number in range(20):
        correlation_id = str(uuid.uuid4())
        expected[correlation_id] = str(number**2).encode()
        request = Message(str(number).encode(), correlation_id=correlation_id, reply_to=callback_queue.name)
        await channel.default_exchange.publish(request, requests.name)
    assert {answer.correlation_id: answer.body for answer in await answers.take(20)} == expected


async def test_rpc_over_direct_reply_to_needs_no_queue(
    connection: AbstractConnection, channel: AbstractChannel, name: Namer
) -> None:
    requests = await channel.declare_queue(name("rpc_queue"), auto_delete=True)
    served = Inbox()
    await requests.consume(served, no_ack=True)
    client_channel = await connection.channel()
    answers = Inbox()
    await (await client_channel.get_queue("amq.rabbitmq.reply-to", ensure=False)).consume(answers, no_ack=True)
    request = Message(b"ping", reply_to="amq.rabbitmq.reply-to", correlation_id="1")
    await client_channel.default_exchange.publish(request, requests.name)
    received = await served.take_one()
    assert received.reply_to is not None
    assert received.reply_to.startswith("amq.rabbitmq.reply-to.")
    await channel.default_exchange.publish(Message(b"pong", correlation_id="1"), received.reply_to)
    assert [(answer.body, answer.correlation_id) for answer in await answers.take(1)] == [(b"pong", "1")]


async def _subscribe(channel: AbstractChannel, exchange: str, *binding_keys: str) -> AbstractQueue:
    queue = await channel.declare_queue(exclusive=True)
    for key in binding_keys:
        await queue.bind(exchange, key)
    return queue


async def _drain(queue: AbstractQueue) -> list[bytes]:
    """Get everything that waits in the queue: publishes were confirmed, so it is all there."""
    bodies = []
    while message := await queue.get(no_ack=True, fail=False):
        bodies.append(message.body)
    return bodies
