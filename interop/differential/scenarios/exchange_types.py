"""The exchange types of RabbitMQ's plugins: consistent hash, modulus hash, random, local random, recent history.

Where a message goes is compared too: both brokers hash alike.
"""

from __future__ import annotations

from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.tables import Typed

HASH = "x-consistent-hash"
HISTORY = "x-recent-history"


def bound(s: Stage, a: Channel, exchange: str, **keys: str) -> list[str]:
    """Declare and bind a queue for each name, with the key given."""
    return [s.bound_queue(a, exchange, key, label) for label, key in keys.items()]


# Any of them ----------------------------------------------------------------------------------------------------------


@cases(
    consistent_hash=HASH,
    modulus_hash="x-modulus-hash",
    random="x-random",
    local_random="x-local-random",
    recent_history=HISTORY,
)
def declare_twice_and_as_another_type(s: Stage, kind: str) -> None:
    a = s.channel()
    x = s.exchange()
    a.call("exchange.declare", exchange=x, exchange_type=kind, durable=True)
    a.call("exchange.declare", exchange=x, exchange_type=kind, durable=True, arguments={"x-foo": 1, "hash-header": "h"})
    a.call("exchange.declare", exchange=x, exchange_type="fanout", durable=True)
    b = s.channel()
    b.call("exchange.declare", exchange="amq.fanout", exchange_type=kind, durable=True)


@cases(
    consistent_hash=HASH,
    modulus_hash="x-modulus-hash",
    random="x-random",
    local_random="x-local-random",
    recent_history=HISTORY,
)
def nothing_is_bound_to(s: Stage, kind: str) -> None:
    a = s.channel()
    a.call_unseen("confirm.select")
    x = s.exchange()
    a.call("exchange.declare", exchange=x, exchange_type=kind)
    a.publish("nowhere", exchange=x, to="k", mandatory=True)
    a.expect("basic.return")


@cases(
    consistent_hash=(HASH, "1"), modulus_hash=("x-modulus-hash", "k"), random=("x-random", "k"), history=(HISTORY, "")
)
def the_only_queue_gets_everything(s: Stage, how: tuple[str, str]) -> None:
    a = s.channel()
    kind, key = how
    x = s.declared_exchange(a, kind)
    q = s.bound_queue(a, x, key)
    for number in range(5):
        a.publish(f"m{number}", exchange=x, to=f"k{number}", mandatory=True)
    s.drain(a, q)
    a.call("queue.unbind", queue=q, exchange=x, routing_key=key)
    a.publish("gone", exchange=x, to="k1", mandatory=True)
    a.expect("basic.return")


@cases(
    consistent_hash=(HASH, "1"), modulus_hash=("x-modulus-hash", "k"), random=("x-random", "k"), history=(HISTORY, "")
)
def an_exchange_is_bound_to(s: Stage, how: tuple[str, str]) -> None:
    a = s.channel()
    kind, key = how
    x, y = s.declared_exchange(a, kind), s.declared_exchange(a, "topic", "y")
    q = s.bound_queue(a, y, "#")
    a.call("exchange.bind", source=x, destination=y, routing_key=key)
    a.publish("through", exchange=x, to="a.b")
    s.drain(a, q)


# Consistent hash ------------------------------------------------------------------------------------------------------


@cases(
    zero="0",
    negative="-1",
    word="abc",
    empty="",
    space=" 1",
    fraction="1.5",
    leading_zero="007",
    plus="+2",
    large="10000",
    larger="10001",
    not_ascii="é",
    not_text="a'b\\",
)
def bind_with_the_weight(s: Stage, key: str) -> None:
    a = s.channel()
    x = s.declared_exchange(a, HASH)
    q = s.declared_queue(a)
    a.call("queue.bind", queue=q, exchange=x, routing_key=key)


@scenario
def bind_an_exchange_with_no_weight(s: Stage) -> None:
    a = s.channel()
    x, y = s.declared_exchange(a, HASH), s.declared_exchange(a, "fanout", "y")
    a.call("exchange.bind", source=x, destination=y, routing_key="none")


@cases(
    header={"hash-header": "h"},
    correlation_id={"hash-property": "correlation_id"},
    message_id={"hash-property": "message_id"},
    timestamp={"hash-property": "timestamp"},
    wrong_property={"hash-property": "app_id"},
    empty_property={"hash-property": ""},
    both={"hash-header": "h", "hash-property": "message_id"},
    both_wrong={"hash-header": "h", "hash-property": "nonsense"},
    header_is_a_number={"hash-header": 5},
    property_is_a_number={"hash-property": 5},
    header_is_binary={"hash-header": Typed("x", b"h")},
)
def declare_a_consistent_hash_with(s: Stage, arguments: dict[str, Any]) -> None:
    a = s.channel()
    x = s.exchange()
    a.call("exchange.declare", exchange=x, exchange_type=HASH, arguments=arguments)
    s.channel().call("exchange.declare", exchange=x, passive=True)


def publish_keys(s: Stage, a: Channel, x: str, count: int = 40) -> None:
    for number in range(count):
        a.publish(f"m{number}", exchange=x, to=f"key.{number}")


@scenario
def routing_keys_are_spread_by_weight(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, HASH)
    queues = bound(s, a, x, q1="1", q2="3", q3="6")
    publish_keys(s, a, x)
    s.drain(a, *queues)


@scenario
def large_weights_and_odd_routing_keys(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, HASH)
    queues = bound(s, a, x, q1="1000", q2="999", q3="5000")
    for key in ("", "é", "a" * 255, "0123456789ab", "0123456789abc", "日本語", "#", "a.b.c"):
        a.publish(f"to {key[:20]}", exchange=x, to=key)
    s.drain(a, *queues)


@scenario
def a_queue_less_and_a_queue_more(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, HASH)
    q1, q2, q3 = bound(s, a, x, q1="2", q2="2", q3="2")
    a.call("queue.unbind", queue=q2, exchange=x, routing_key="2")
    publish_keys(s, a, x, 20)
    s.drain(a, q1, q2, q3)
    a.call("queue.bind", queue=q2, exchange=x, routing_key="4")
    publish_keys(s, a, x, 20)
    s.drain(a, q1, q2, q3)
    a.call("queue.delete", queue=q1)
    publish_keys(s, a, x, 20)
    s.drain(a, q2, q3)


@scenario
def the_first_binding_of_a_queue_has_the_say(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, HASH)
    q1, q2 = bound(s, a, x, q1="1", q2="1")
    a.call("queue.bind", queue=q1, exchange=x, routing_key="9")
    publish_keys(s, a, x, 20)
    s.drain(a, q1, q2)
    a.call("queue.unbind", queue=q1, exchange=x, routing_key="1")
    publish_keys(s, a, x, 20)
    s.drain(a, q1, q2)
    a.call("queue.unbind", queue=q1, exchange=x, routing_key="9")
    publish_keys(s, a, x, 5)
    s.drain(a, q1, q2)


@cases(correlation_id="correlation_id", message_id="message_id")
def hash_of_the_property(s: Stage, name: str) -> None:
    a = s.channel()
    x = s.declared_exchange(a, HASH, arguments={"hash-property": name})
    queues = bound(s, a, x, q1="1", q2="2", q3="3")
    for number in range(16):
        a.publish(f"m{number}", exchange=x, to="same", properties={name: f"id-{number}"})
    a.publish("empty", exchange=x, properties={name: ""})
    a.publish("none", exchange=x)
    s.drain(a, *queues)


@scenario
def hash_of_the_timestamp(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, HASH, arguments={"hash-property": "timestamp"})
    queues = bound(s, a, x, q1="1", q2="2", q3="3")
    for number in range(12):
        a.publish(f"m{number}", exchange=x, properties={"timestamp": 1_700_000_000 + number})
    a.publish("none", exchange=x)
    s.drain(a, *queues)


@scenario
def hash_of_a_header(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, HASH, arguments={"hash-header": "h"})
    queues = bound(s, a, x, q1="1", q2="2", q3="3")
    for number in range(16):
        a.publish(f"m{number}", exchange=x, properties={"headers": {"h": f"value {number}", "other": number}})
    a.publish("no such header", exchange=x, properties={"headers": {"other": 1}})
    a.publish("no headers", exchange=x)
    s.drain(a, *queues)


@scenario
def hash_of_a_header_of_any_type(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, HASH, arguments={"hash-header": "x-h"})
    queues = bound(s, a, x, q1="10", q2="20", q3="30")
    values: dict[str, object] = {
        "short": Typed("s", 7),
        "int": 7,
        "negative": -7,
        "long": Typed("l", 2**40),
        "longer": Typed("l", 2**62),
        "negative long": Typed("l", -(2**62)),
        "unsigned": Typed("i", 2**31 + 5),
        "double": 1.5,
        "float": Typed("f", 0.25),
        "true": True,
        "false": False,
        "timestamp": Typed("T", 1_700_000_000),
        "binary": b"bytes",
        "void": None,
        "table": {"a": "b", "c": 5},
        "array": ["a", 1],
    }
    for name, value in values.items():
        a.publish(name, exchange=x, properties={"headers": {"x-h": value}})
    s.drain(a, *queues)


# Modulus hash ---------------------------------------------------------------------------------------------------------


@scenario
def modulus_hash_of_routing_keys(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "x-modulus-hash")
    q1, q2, q3 = bound(s, a, x, q1="b", q2="a", q3="")
    publish_keys(s, a, x)
    s.drain(a, q1, q2, q3)
    a.call("queue.bind", queue=q1, exchange=x, routing_key="z")
    publish_keys(s, a, x, 20)
    s.drain(a, q1, q2, q3)
    a.call("queue.unbind", queue=q2, exchange=x, routing_key="a")
    publish_keys(s, a, x, 20)
    s.drain(a, q1, q2, q3)


@scenario
def modulus_hash_over_queues_and_exchanges(s: Stage) -> None:
    a = s.channel()
    x, y = s.declared_exchange(a, "x-modulus-hash"), s.declared_exchange(a, "fanout", "z")
    queues = bound(s, a, x, a="", b="")
    queues += bound(s, a, y, c="")
    a.call("exchange.bind", source=x, destination=y)
    publish_keys(s, a, x)
    s.drain(a, *queues)


# Random ---------------------------------------------------------------------------------------------------------------


@cases(random="x-random", local_random="x-local-random")
def one_of_two_queues_gets_it(s: Stage, kind: str) -> None:
    a = s.channel()
    x = s.declared_exchange(a, kind)
    q1, q2 = bound(s, a, x, q1="", q2="")
    a.call_unseen("confirm.select")
    for number in range(10):
        a.publish(f"m{number}", exchange=x, to="", mandatory=True)
    a.confirms()
    first = a.call_unseen("queue.purge", queue=q1)
    second = a.call_unseen("queue.purge", queue=q2)
    if first is not None and second is not None:
        s.transcript.remark(f"{int(str(first['message_count'])) + int(str(second['message_count']))} messages in all")


@cases(key="k", space=" ", not_ascii="é")
def local_random_takes_no_binding_key(s: Stage, key: str) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "x-local-random")
    q = s.declared_queue(a)
    a.call("queue.bind", queue=q, exchange=x, routing_key=key)


@cases(empty="", key="k")
def local_random_is_for_queues_not_exchanges(s: Stage, key: str) -> None:
    a = s.channel()
    x, y = s.declared_exchange(a, "x-local-random"), s.declared_exchange(a, "fanout", "y")
    a.call("exchange.bind", source=x, destination=y, routing_key=key)


@scenario
def local_random_routes_whatever_the_routing_key(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "x-local-random")
    q = s.bound_queue(a, x, "")
    a.publish("with a key", exchange=x, to="k", mandatory=True)
    a.publish("without", exchange=x, mandatory=True)
    s.drain(a, q)


# Recent history -------------------------------------------------------------------------------------------------------


@cases(
    one=1,
    short=Typed("s", 2),
    byte=Typed("b", 2),
    long=Typed("l", 2),
    zero=0,
    negative=-1,
    unsigned_byte=Typed("B", 2),
    unsigned_short=Typed("u", 2),
    unsigned_int=Typed("i", 2),
    text="5",
    not_text="é",
    double=2.5,
    true=True,
    none=None,
    table={"a": 1},
)
def declare_a_recent_history_of_length(s: Stage, value: object) -> None:
    a = s.channel()
    x = s.exchange()
    a.call("exchange.declare", exchange=x, exchange_type=HISTORY, arguments={"x-recent-history-length": value})
    s.channel().call("exchange.declare", exchange=x, passive=True)


def told(s: Stage, a: Channel, x: str, count: int) -> None:
    """Publish a history, and wait until it has happened."""
    a.call_unseen("confirm.select")
    for number in range(count):
        a.publish(f"m{number}", exchange=x, to=f"k{number}")
    a.confirms()


@scenario
def a_newcomer_gets_the_last_twenty(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, HISTORY)
    early = s.bound_queue(a, x, "", "early")
    told(s, a, x, 25)
    late = s.bound_queue(a, x, "any", "late")
    a.settle(late, ready=20)
    s.drain(a, late)
    a.settle(early, ready=25)
    a.call("queue.purge", queue=early)


@scenario
def a_newcomer_gets_a_shorter_history_and_what_comes_then(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, HISTORY, arguments={"x-recent-history-length": 3})
    told(s, a, x, 5)
    q = s.declared_queue(a)
    a.call("basic.consume", queue=q, consumer_tag="c", no_ack=True)
    a.call("queue.bind", queue=q, exchange=x)
    a.deliveries(3)
    a.publish("now", exchange=x, to="k")
    a.deliveries(1)


@scenario
def binding_again_does_not_repeat_the_history(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, HISTORY, arguments={"x-recent-history-length": 2})
    told(s, a, x, 2)
    q = s.bound_queue(a, x, "k")
    a.call("queue.bind", queue=q, exchange=x, routing_key="k")
    a.settle(q, ready=2)
    s.drain(a, q)
    a.call("queue.bind", queue=q, exchange=x, routing_key="another")
    a.settle(q, ready=2)
    s.drain(a, q)


@cases(
    true=True,
    false=False,
    text="true",
    one=1,
)
def what_a_header_keeps_out_of_the_history(s: Stage, value: object) -> None:
    a = s.channel()
    x = s.declared_exchange(a, HISTORY)
    early = s.bound_queue(a, x, "", "early")
    a.call_unseen("confirm.select")
    a.publish("kept", exchange=x)
    a.publish("perhaps", exchange=x, properties={"headers": {"x-recent-history-no-store": value}})
    a.confirms()
    late = s.bound_queue(a, x, "", "late")
    a.settle(early, ready=2)
    a.call("queue.declare", queue=late, passive=True)
    s.drain(a, early)


@scenario
def what_nobody_got_is_history_too(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, HISTORY, arguments={"alternate-exchange": "amq.fanout"})
    a.call_unseen("confirm.select")
    a.publish("returned", exchange=x, to="k", mandatory=True, properties={"delivery_mode": 2, "headers": {"h": 1}})
    a.expect("basic.return")
    a.confirms()
    q = s.bound_queue(a, x)
    a.settle(q, ready=1)
    s.drain(a, q)


@scenario
def the_history_goes_with_the_exchange(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, HISTORY)
    told(s, a, x, 2)
    a.call("exchange.delete", exchange=x)
    a.call("exchange.declare", exchange=x, exchange_type=HISTORY)
    q = s.bound_queue(a, x)
    a.call("queue.declare", queue=q, passive=True)


@scenario
def an_exchange_gets_the_history_newest_first(s: Stage) -> None:
    a = s.channel()
    x, y = s.declared_exchange(a, HISTORY), s.declared_exchange(a, "fanout", "y")
    q = s.bound_queue(a, y)
    told(s, a, x, 3)
    a.call("exchange.bind", source=x, destination=y)
    a.settle(q, ready=3)
    s.drain(a, q)


@scenario
def an_exchange_that_cannot_route_the_history(s: Stage) -> None:
    a = s.channel()
    x, y = s.declared_exchange(a, HISTORY), s.declared_exchange(a, "fanout", "y")
    told(s, a, x, 1)
    a.call("exchange.bind", source=x, destination=y)
    b = s.channel()
    q = s.bound_queue(b, y)
    b.publish("is it bound?", exchange=x, mandatory=True)
    b.barrier()
    s.drain(b, q)


@scenario
def a_history_that_was_rolled_back(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    x = s.declared_exchange(b, HISTORY)
    a.call("tx.select")
    a.publish("rolled back", exchange=x)
    a.call("tx.rollback")
    q = s.bound_queue(b, x)
    b.settle(q, ready=1)
    s.drain(b, q)


# Sender-selected distribution -----------------------------------------------------------------------------------------


@cases(consistent_hash=HASH, modulus_hash="x-modulus-hash")
def hash_of_a_message_with_copies(s: Stage, kind: str) -> None:
    a = s.channel()
    x = s.declared_exchange(a, kind)
    queues = bound(s, a, x, q1="1", q2="2", q3="3")
    for number in range(12):
        headers = {"CC": [f"copy.{number}", "another"], "BCC": [f"secret.{number}"]}
        a.publish(f"m{number}", exchange=x, to=f"key.{number}", properties={"headers": headers})
    s.drain(a, *queues)
