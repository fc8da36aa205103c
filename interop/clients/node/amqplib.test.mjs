// amqplib, the AMQP client of Node.js, against the broker that AMQP_URL names.

import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { after, before, test } from 'node:test';

import amqp from 'amqplib';

let connection;

before(async () => {
  connection = await amqp.connect(process.env.AMQP_URL);
});

after(async () => {
  await connection.close();
});

/** Consume a queue; `take(n)` waits for n messages. */
async function inbox(channel, queue, options = { noAck: true }) {
  const messages = [];
  let wake = () => {};
  const { consumerTag } = await channel.consume(queue, (message) => {
    messages.push(message);
    wake();
  }, options);
  const take = async (count) => {
    while (messages.length < count) {
      await new Promise((resolve) => { wake = resolve; });
    }
    return messages.splice(0, count);
  };
  return { consumerTag, take };
}

async function exclusiveQueue(channel) {
  return (await channel.assertQueue('', { exclusive: true })).queue;
}

test('confirmed publishes arrive once and in order', async () => {
  const channel = await connection.createConfirmChannel();
  const queue = await exclusiveQueue(channel);
  await channel.prefetch(10);
  const consumer = await inbox(channel, queue, {});
  for (let number = 0; number < 2000; number += 1) {
    channel.sendToQueue(queue, Buffer.from(String(number)));
  }
  await channel.waitForConfirms();
  for (let number = 0; number < 2000; number += 1) {
    const [message] = await consumer.take(1);
    assert.equal(message.content.toString(), String(number));
    channel.ack(message);
  }
  await channel.cancel(consumer.consumerTag);
  assert.equal((await channel.checkQueue(queue)).messageCount, 0);
  await channel.close();
});

test('properties and headers of every type round trip', async () => {
  const channel = await connection.createChannel();
  const queue = await exclusiveQueue(channel);
  const headers = {
    text: 'żółw 🐇', int: -1, long: 2 ** 40, double: 3.141592653589793, yes: true, nothing: null,
    list: [1, 'a', { b: [] }], table: { nested: { deeper: 1 } },
  };
  channel.sendToQueue(queue, Buffer.from('x'), {
    headers, persistent: true, priority: 5, correlationId: 'c', replyTo: 'r', expiration: 60000, messageId: 'm',
    timestamp: 1709210096, type: 't', userId: 'guest', appId: 'a', contentType: 'text/plain', contentEncoding: 'utf-8',
  });
  const { properties } = await channel.get(queue, { noAck: true });
  assert.deepEqual(properties.headers, headers);
  assert.deepEqual(
    [properties.deliveryMode, properties.priority, properties.expiration, properties.timestamp, properties.userId],
    [2, 5, '60000', 1709210096, 'guest'],
  );
  await channel.close();
});

test('bodies of any size round trip', async () => {
  const channel = await connection.createConfirmChannel();
  const queue = await exclusiveQueue(channel);
  for (const size of [0, 1, 4095, 4096, 4097, 131063, 131064, 131065, 131072, 3_000_001]) {
    const body = randomBytes(size);
    channel.sendToQueue(queue, body);
    await channel.waitForConfirms();
    assert.ok((await channel.get(queue, { noAck: true })).content.equals(body), `${size} octets`);
  }
  await channel.close();
});

test('topic, headers and exchange-to-exchange routing', async () => {
  const channel = await connection.createConfirmChannel();
  const [topic, headers] = [`topic-${randomUUID()}`, `headers-${randomUUID()}`];
  await channel.assertExchange(topic, 'topic', { durable: false });
  await channel.assertExchange(headers, 'headers', { durable: false });
  const queue = await exclusiveQueue(channel);
  await channel.bindExchange(headers, topic, 'orders.#');
  await channel.bindQueue(queue, headers, '', { 'x-match': 'all', kind: 'new' });
  channel.publish(topic, 'orders.eu', Buffer.from('routed'), { headers: { kind: 'new' } });
  channel.publish(topic, 'orders.eu', Buffer.from('wrong header'), { headers: { kind: 'old' } });
  channel.publish(topic, 'invoices', Buffer.from('wrong key'), { headers: { kind: 'new' } });
  await channel.waitForConfirms();
  assert.equal((await channel.get(queue, { noAck: true })).content.toString(), 'routed');
  assert.equal(await channel.get(queue), false);
  await channel.deleteExchange(topic);
  await channel.deleteExchange(headers);
  await channel.close();
});

test('an unroutable mandatory message is returned', async () => {
  const channel = await connection.createConfirmChannel();
  const returned = once(channel, 'return');
  channel.publish('', `nowhere-${randomUUID()}`, Buffer.from('back'), { mandatory: true });
  const [message] = await returned;
  assert.deepEqual([message.fields.replyCode, message.fields.replyText], [312, 'NO_ROUTE']);
  assert.equal(message.content.toString(), 'back');
  await channel.waitForConfirms();
  await channel.close();
});

test('a nacked message comes back redelivered and a rejected one does not', async () => {
  const channel = await connection.createChannel();
  const queue = await exclusiveQueue(channel);
  channel.sendToQueue(queue, Buffer.from('x'));
  const first = await channel.get(queue);
  channel.nack(first);
  const second = await channel.get(queue);
  assert.deepEqual([first.fields.redelivered, second.fields.redelivered], [false, true]);
  channel.reject(second, false);
  assert.equal(await channel.get(queue), false);
  await channel.close();
});

test('rpc over a reply queue', async () => {
  const [server, client] = [await connection.createChannel(), await connection.createChannel()];
  const requests = await exclusiveQueue(server);
  await server.consume(requests, (request) => {
    const answer = Buffer.from(String(Number(request.content) ** 2));
    server.sendToQueue(request.properties.replyTo, answer, { correlationId: request.properties.correlationId });
    server.ack(request);
  });
  const replyTo = await exclusiveQueue(client);
  const answers = await inbox(client, replyTo);
  for (let number = 0; number < 20; number += 1) {
    client.sendToQueue(requests, Buffer.from(String(number)), { correlationId: String(number), replyTo });
  }
  for (const answer of await answers.take(20)) {
    assert.equal(Number(answer.content), Number(answer.properties.correlationId) ** 2);
  }
  await server.close();
  await client.close();
});

test('a deleted queue cancels its consumer', async () => {
  const [channel, other] = [await connection.createChannel(), await connection.createChannel()];
  const queue = await exclusiveQueue(channel);
  const consumer = await inbox(channel, queue);
  await other.deleteQueue(queue);
  assert.deepEqual(await consumer.take(1), [null]);
  await channel.close();
  await other.close();
});

test('an error closes its channel alone, in RabbitMQ\'s words', async () => {
  const channel = await connection.createChannel();
  const closed = once(channel, 'error');
  const name = `missing-${randomUUID()}`;
  await assert.rejects(channel.checkQueue(name), new RegExp(`404 \\(NOT-FOUND\\).*no queue '${name}' in vhost '/'`));
  assert.equal((await closed)[0].code, 404);
  const another = await connection.createChannel();
  assert.ok((await exclusiveQueue(another)).startsWith('amq.gen-'));
  await another.close();
});

test('a wrong password is refused in words', async () => {
  const url = new URL(process.env.AMQP_URL);
  url.username = 'guest';
  url.password = 'wrong';
  await assert.rejects(amqp.connect(url.href), /403 \(ACCESS-REFUSED\).*Login was refused/);
});
