"""More routing keys in the headers CC and BCC [rabbitmq.com/docs/sender-selected]."""

from __future__ import annotations

from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.tables import Typed


def queues(s: Stage, a: Channel, count: int = 3) -> list[str]:
    return [s.declared_queue(a, f"q{number}") for number in range(count)]


def publish(a: Channel, to: str, headers: dict[str, Any], **fields: Any) -> None:
    a.publish("m1", to=to, properties={"headers": headers}, **fields)


@cases(cc=["CC"], bcc=["BCC"], both=["BCC", "CC"])
def copies_through_the_default_exchange(s: Stage, kinds: list[str]) -> None:
    a = s.channel()
    first, *others = queues(s, a)
    publish(a, first, {kind: [queue] for kind, queue in zip(kinds, others, strict=False)})
    s.drain(a, first, *others)


@scenario
def several_copies_of_each_kind(s: Stage) -> None:
    a = s.channel()
    first, *others = queues(s, a, 5)
    publish(a, first, {"BCC": others[:2], "CC": others[2:], "own": 1})
    s.drain(a, first, *others)


@scenario
def other_headers_stay_when_bcc_goes(s: Stage) -> None:
    a = s.channel()
    first, second = queues(s, a, 2)
    publish(a, first, {"A": 1, "BCC": [second], "Z": {"deep": [True]}})
    s.drain(a, first, second)


@scenario
def one_copy_for_a_queue_named_twice(s: Stage) -> None:
    a = s.channel()
    first, second = queues(s, a, 2)
    publish(a, first, {"BCC": [second, first], "CC": [first, second, second]})
    s.drain(a, first, second)


@scenario
def through_a_direct_exchange(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct")
    names = [s.bound_queue(a, x, key, key) for key in ("k1", "k2", "k3")]
    publish(a, "k1", {"BCC": ["k3"], "CC": ["k2"]}, exchange=x)
    s.drain(a, *names)


@scenario
def through_a_topic_exchange(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "topic")
    names = [s.bound_queue(a, x, key, f"q{number}") for number, key in enumerate(("a.*", "#.b", "c.#"))]
    publish(a, "none", {"BCC": ["c"], "CC": ["a.b", "x.b"]}, exchange=x)
    s.drain(a, *names)


@cases(fanout="fanout", headers="headers")
def an_exchange_that_ignores_keys(s: Stage, kind: str) -> None:
    a = s.channel()
    x = s.declared_exchange(a, kind)
    q = s.bound_queue(a, x)
    publish(a, "k1", {"BCC": ["k3"], "CC": ["k2"]}, exchange=x)
    s.drain(a, q)


@scenario
def through_exchanges_bound_to_each_other(s: Stage) -> None:
    a = s.channel()
    x, y = s.declared_exchange(a, "direct"), s.declared_exchange(a, "direct", "y")
    a.call_unseen("exchange.bind", source=x, destination=y, routing_key="k2")
    near, far = s.bound_queue(a, x, "k1", "near"), s.bound_queue(a, y, "k3", "far")
    publish(a, "k1", {"CC": ["k2", "k3"]}, exchange=x)
    s.drain(a, near, far)


@scenario
def the_alternate_exchange_gets_it_if_no_key_routes(s: Stage) -> None:
    a = s.channel()
    other = s.declared_exchange(a, "direct", "other")
    x = s.declared_exchange(a, "direct", arguments={"alternate-exchange": other})
    near, far = s.bound_queue(a, x, "k1", "near"), s.bound_queue(a, other, "k2", "far")
    publish(a, "k1", {"CC": ["k2"]}, exchange=x)
    publish(a, "k3", {"CC": ["k2"]}, exchange=x)
    s.drain(a, near, far)


@cases(cc="CC", bcc="BCC")
def a_copy_that_routes_is_enough_for_mandatory(s: Stage, kind: str) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("confirm.select")
    publish(a, s.queue("nope"), {kind: [q]}, mandatory=True)
    a.confirms()
    s.drain(a, q)


@scenario
def a_returned_message_still_has_its_bcc(s: Stage) -> None:
    a = s.channel()
    publish(a, s.queue("nope"), {"BCC": ["nope too"], "CC": ["nor this"]}, mandatory=True)
    a.expect("basic.return")


@scenario
def one_confirm_for_all_copies(s: Stage) -> None:
    a = s.channel()
    first, *others = queues(s, a)
    a.call("confirm.select")
    publish(a, first, {"CC": others})
    publish(a, others[0], {"BCC": [first]})
    a.confirms()


@scenario
def copies_in_a_transaction(s: Stage) -> None:
    a = s.channel()
    first, second = queues(s, a, 2)
    a.call("tx.select")
    publish(a, first, {"CC": [second]})
    a.call("tx.commit")
    s.drain(a, first, second)


@scenario
def copies_are_delivered_to_consumers(s: Stage) -> None:
    a = s.channel()
    first, second = queues(s, a, 2)
    a.call("basic.consume", queue=second, consumer_tag="c", no_ack=True)
    publish(a, first, {"BCC": [second], "own": 1})
    a.deliveries(1)


@scenario
def a_delivered_message_published_again_keeps_no_bcc(s: Stage) -> None:
    a = s.channel()
    first, second = queues(s, a, 2)
    publish(a, first, {"BCC": [second]})
    reply = a.call("basic.get", queue=first, no_ack=True)
    assert reply is not None
    assert reply.content is not None
    a.publish("again", to=first, properties=reply.content.header[12:])
    s.drain(a, first, second)


@cases(lower="cc", mixed="Cc", bcc_lower="bcc")
def the_names_are_in_capitals(s: Stage, name: str) -> None:
    a = s.channel()
    first, second = queues(s, a, 2)
    publish(a, first, {name: [second]})
    s.drain(a, first, second)


@cases(
    text="key", number=5, true=True, void=None, table={"a": "key"}, empty=[], octets=b"key",
    numbers=[1, 2], mixed=["key", 5], octets_inside=[b"key"], array_inside=[["key"]], long=["k" * 300],
    timestamp=Typed("T", 5),
)  # fmt: skip
def values_of_cc(s: Stage, value: Any) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    publish(a, q, {"CC": value})
    a.call("basic.get", queue=q, no_ack=True)


@cases(text="key", number=5, void=None, empty=[], numbers=[1, 2], table={"a": "key"})
def values_of_bcc(s: Stage, value: Any) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    publish(a, q, {"BCC": value})
    a.call("basic.get", queue=q, no_ack=True)


@scenario
def both_wrong_tells_the_first(s: Stage) -> None:
    a = s.channel()
    publish(a, s.queue("nope"), {"BCC": 1, "CC": 2})
    a.expect("channel.close")


@scenario
def a_wrong_cc_and_a_missing_exchange(s: Stage) -> None:
    a = s.channel()
    publish(a, "k", {"CC": "text"}, exchange=s.exchange("nope"))
    a.expect("channel.close")


@scenario
def a_wrong_cc_and_a_wrong_expiration(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("m1", to=q, properties={"headers": {"CC": "text"}, "expiration": "abc"})
    a.expect("channel.close")
