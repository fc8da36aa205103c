"""What a dead letter carries: x-death and its kin, and what becomes of properties and headers."""

from __future__ import annotations

from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.scenarios.dead_letter import dying_queue, reject_next
from interop.differential.tables import Typed

ALL_PROPERTIES: dict[str, Any] = {
    "content_type": "text/plain",
    "content_encoding": "utf-8",
    "headers": {"a": "text", "b": 1},
    "delivery_mode": 2,
    "priority": 3,
    "correlation_id": "c-1",
    "reply_to": "r-1",
    "message_id": "id-1",
    "timestamp": 1_700_000_000,
    "message_type": "kind",
    "user_id": "guest",
    "app_id": "app",
    "cluster_id": "cluster",
}


def republish(a: Channel, queue: str, to: str) -> None:
    """Get a message and publish it with the headers that it has, as clients do to try again."""
    reply = a.call("basic.get", queue=queue, no_ack=True)
    assert reply is not None
    assert reply.content is not None
    a.publish("again", to=to, properties=reply.content.header[12:])


@scenario
def all_properties_stay(s: Stage) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a)
    a.publish("m1", to=q, properties=ALL_PROPERTIES)
    reject_next(a, q)
    a.settle(grave, ready=1)
    s.drain(a, grave)


@scenario
def all_properties_but_expiration_stay(s: Stage) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a)
    a.publish("m1", to=q, properties=ALL_PROPERTIES | {"expiration": "40"})
    a.settle(grave, ready=1)
    s.drain(a, grave)


@scenario
def expiration_is_removed_from_a_rejected_message(s: Stage) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a)
    a.publish("m1", to=q, properties={"expiration": "60000"})
    reject_next(a, q)
    a.settle(grave, ready=1)
    s.drain(a, grave)


@cases(plain="60000", with_plus="+60000", padded="060000")
def the_original_expiration_is_told(s: Stage, value: str) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a, x_message_ttl=0)
    a.publish("m1", to=q, properties={"expiration": value})
    a.settle(grave, ready=1)
    s.drain(a, grave)


@scenario
def expiration_is_removed_from_a_message_over_the_limit(s: Stage) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a, x_max_length=1)
    a.publish("m1", to=q, properties={"expiration": "60000"})
    a.publish("m2", to=q)
    a.settle(grave, ready=1)
    s.drain(a, grave)


@scenario
def expiration_stays_known_after_a_second_death(s: Stage) -> None:
    a = s.channel()
    last, grave = dying_queue(s, a, "last")
    q = s.declared_queue(a, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": last})
    a.publish("m1", to=q, properties={"expiration": "60000"})
    reject_next(a, q)
    a.settle(last, ready=1)
    reject_next(a, last)
    a.settle(grave, ready=1)
    s.drain(a, grave)


@scenario
def a_redelivered_message_is_new_as_a_dead_letter(s: Stage) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a)
    s.fill(a, q, 1)
    a.call("basic.get", queue=q)
    a.send("basic.reject", delivery_tag=1, requeue=True)
    a.settle(q, ready=1)
    reject_next(a, q)
    a.settle(grave, ready=1)
    s.drain(a, grave)


@scenario
def an_exchange_is_named_that_is_not_the_default_one(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct")
    q, grave = dying_queue(s, a)
    a.call_unseen("queue.bind", queue=q, exchange=x, routing_key="the key")
    a.publish("m1", exchange=x, to="the key")
    reject_next(a, q)
    a.settle(grave, ready=1)
    s.drain(a, grave)


@scenario
def the_newest_death_comes_first(s: Stage) -> None:
    a = s.channel()
    third, grave = dying_queue(s, a, "third")
    second = s.declared_queue(
        a, "second", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": third, "x-message-ttl": 0}
    )
    first = s.declared_queue(a, "first", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": second})
    a.publish("m1", to=first)
    reject_next(a, first)
    a.settle(third, ready=1)
    reject_next(a, third)
    a.settle(grave, ready=1)
    s.drain(a, grave)


@scenario
def deaths_in_one_queue_for_two_reasons(s: Stage) -> None:
    """The second time it expires where it was rejected the first time."""
    a = s.channel()
    q, d = s.queue(), s.queue("d")
    a.call_unseen("queue.declare", queue=q, arguments=_to(d) | {"x-message-ttl": 100})
    a.call_unseen("queue.declare", queue=d, arguments=_to(q))
    a.publish("m1", to=q)
    reject_next(a, q)
    a.settle(d, ready=1)
    reject_next(a, d)
    a.settle(q, ready=1)
    a.settle(d, ready=1)
    s.drain(a, d)


@scenario
def the_same_death_again_is_counted_and_comes_first(s: Stage) -> None:
    a = s.channel()
    q, d = s.queue(), s.queue("d")
    a.call_unseen("queue.declare", queue=q, arguments=_to(d))
    a.call_unseen("queue.declare", queue=d, arguments=_to(q))
    a.publish("m1", to=q)
    for _ in range(2):
        reject_next(a, q)
        a.settle(d, ready=1)
        reject_next(a, d)
        a.settle(q, ready=1)
    reject_next(a, q)
    a.settle(d, ready=1)
    s.drain(a, d)


@scenario
def retrying_by_a_ttl_counts_both_deaths(s: Stage) -> None:
    """The usual retry: rejected, waiting in a second queue, expired back into the first."""
    a = s.channel()
    q, waiting = s.queue(), s.queue("waiting")
    a.call_unseen("queue.declare", queue=q, arguments=_to(waiting))
    a.call_unseen("queue.declare", queue=waiting, arguments=_to(q) | {"x-message-ttl": 20})
    a.publish("m1", to=q)
    for _ in range(3):
        reject_next(a, q)
        a.settle(q, ready=1)
    s.drain(a, q)


@scenario
def a_changed_routing_key_does_not_change_an_old_entry(s: Stage) -> None:
    a = s.channel()
    q, d = s.queue(), s.queue("d")
    a.call_unseen("queue.declare", queue=q, arguments=_to(d))
    a.call_unseen("queue.declare", queue=d, arguments=_to(q))
    a.call_unseen("queue.bind", queue=q, exchange="amq.direct", routing_key=f"{q}.first")
    a.publish("m1", exchange="amq.direct", to=f"{q}.first")
    reject_next(a, q)
    a.settle(d, ready=1)
    reject_next(a, d)
    a.settle(q, ready=1)
    reject_next(a, q)
    a.settle(d, ready=1)
    s.drain(a, d)


@scenario
def a_dead_letter_published_again_by_a_client(s: Stage) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a)
    a.publish("m1", to=q)
    reject_next(a, q)
    a.settle(grave, ready=1)
    republish(a, grave, q)
    a.settle(q, ready=1)
    reject_next(a, q)
    a.settle(grave, ready=1)
    s.drain(a, grave)


@cases(
    text="not a list",
    number=5,
    empty=[],
    table={"queue": "other"},
    other_entry=[
        {
            "count": Typed("l", 7), "reason": "rejected", "queue": "other", "time": Typed("T", 1_600_000_000),
            "exchange": "there", "routing-keys": ["k"],
        }
    ],
    without_count=[{"reason": "rejected", "queue": "other"}],
    several=[{"reason": "rejected", "queue": "other"}, {"reason": "expired", "queue": "another", "count": 2}],
)  # fmt: skip
def a_client_sends_x_death(s: Stage, value: Any) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a)
    a.publish("m1", to=q, properties={"headers": {"other": 1, "x-death": value}})
    a.settle(q, ready=1)
    reject_next(a, q)
    a.settle(grave, ready=1)
    s.drain(a, grave)


@cases(count=Typed("l", 4), int_count=4, none=None)
def a_client_sends_x_death_of_this_very_queue(s: Stage, count: Any) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a)
    entry = {"count": count, "reason": "rejected", "queue": q, "exchange": "", "routing-keys": ["old"], "more": "kept"}
    if count is None:
        del entry["count"]
    a.publish("m1", to=q, properties={"headers": {"x-death": [entry]}})
    a.settle(q, ready=1)
    reject_next(a, q)
    a.settle(grave, ready=1)
    s.drain(a, grave)


@scenario
def a_client_sends_the_names_of_a_first_and_last_death(s: Stage) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a)
    names = [f"x-{which}-death-{what}" for which in ("first", "last") for what in ("exchange", "queue", "reason")]
    a.publish("m1", to=q, properties={"headers": dict.fromkeys(names, "mine")})
    a.settle(q, ready=1)
    reject_next(a, q)
    a.settle(grave, ready=1)
    s.drain(a, grave)


@scenario
def headers_of_every_type_are_kept_but_sorted(s: Stage) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a, x_message_ttl=0)
    headers = {
        "zebra": 1,
        "x-own": b"\x00\xff",
        "Upper": True,
        "apple": Typed("l", 2),
        "\u00e4": "umlaut",
        "middle": {"z": [1, None, True], "a": Typed("s", 5)},
        "decimal": Typed("D", (2, 314)),
        "time": Typed("T", 1_600_000_000),
    }
    a.publish("m1", to=q, properties={"headers": headers, "content_type": "a/b"})
    a.settle(grave, ready=1)
    s.drain(a, grave)


@scenario
def an_empty_table_of_headers(s: Stage) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a)
    a.publish("m1", to=q, properties={"headers": {}})
    reject_next(a, q)
    a.settle(grave, ready=1)
    s.drain(a, grave)


@cases(
    cc={"CC": ["cc1", "cc2"]},
    bcc={"BCC": ["bcc1"]},
    both={"CC": ["cc1"], "BCC": ["bcc1"]},
)
def copies_with_dead_lettering(s: Stage, headers: dict[str, Any]) -> None:
    """The routing keys of x-death tell of CC, not of BCC; dead letters go by all keys that they can name."""
    a = s.channel()
    x = s.declared_exchange(a, "direct", "dlx")
    q = s.declared_queue(a, arguments={"x-dead-letter-exchange": x})
    labels = [q, "cc1", "cc2", "bcc1"]
    graves = [s.bound_queue(a, x, key, f"d{number}") for number, key in enumerate(labels)]
    a.publish("m1", to=q, properties={"headers": headers})
    reject_next(a, q)
    a.settle(graves[0], ready=1)
    s.drain(a, *graves)


@cases(cc={"CC": ["cc1", "cc2"]}, bcc={"BCC": ["bcc1"]}, both={"CC": ["cc1"], "BCC": ["bcc1"], "more": 1})
def copies_with_a_dead_letter_routing_key(s: Stage, headers: dict[str, Any]) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct", "dlx")
    q = s.declared_queue(a, arguments={"x-dead-letter-exchange": x, "x-dead-letter-routing-key": "dead"})
    graves = [s.bound_queue(a, x, key, f"d.{key}") for key in ("dead", "cc1", "cc2", "bcc1")]
    a.publish("m1", to=q, properties={"headers": headers})
    reject_next(a, q)
    a.settle(graves[0], ready=1)
    s.drain(a, *graves)


def _to(queue: str) -> dict[str, Any]:
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}
