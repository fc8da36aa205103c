"""Which messages reach which queues: every exchange type, exchanges bound to exchanges, alternate exchanges."""

from __future__ import annotations

from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.tables import Typed


def _publish_and_get(s: Stage, a: Channel, exchange: str, keys: list[str], *queues: str) -> None:
    """Publish one message a key, then see what each queue got; what nobody got comes back."""
    a.call("confirm.select")
    for key in keys:
        a.publish(f"to {key}", exchange=exchange, to=key, mandatory=True)
    a.confirms()
    s.drain(a, *queues)


@scenario
def the_default_exchange_routes_by_queue_name(s: Stage) -> None:
    a = s.channel()
    q, r = s.declared_queue(a), s.declared_queue(a, "r")
    _publish_and_get(s, a, "", [q, r, q + "x", ""], q, r)


@scenario
def direct_routes_by_the_exact_key(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct")
    q, r = s.bound_queue(a, x, "k1"), s.bound_queue(a, x, "k1", "r")
    a.call("queue.bind", queue=r, exchange=x, routing_key="k2")
    a.call("queue.bind", queue=r, exchange=x, routing_key="")
    _publish_and_get(s, a, x, ["k1", "k2", "K1", "k", "", "#"], q, r)


@scenario
def fanout_ignores_the_key(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "fanout")
    q, r = s.bound_queue(a, x, "k1"), s.bound_queue(a, x, "", "r")
    a.call("queue.bind", queue=q, exchange=x, routing_key="k2")
    _publish_and_get(s, a, x, ["k1", "other", ""], q, r)


_TOPIC_KEYS = ["a", "b", "a.b", "a.b.c", "a.x.c", "a..c", ".a", "a.", ".", "..", "", "b.a", "a.b.c.d", "#", "*", "a.*"]


@cases(
    word="a",
    two_words="a.b",
    star="*",
    star_then_word="*.b",
    word_then_star="a.*",
    two_stars="*.*",
    hash="#",
    word_then_hash="a.#",
    hash_then_word="#.a",
    hash_in_the_middle="a.#.c",
    star_in_the_middle="a.*.c",
    two_hashes="#.#",
    hash_star="#.*",
    star_hash="*.#",
    hash_word_hash="#.b.#",
    star_hash_star="*.#.*",
    empty="",
    dot=".",
    trailing_dot="a.",
    hash_inside_a_word="a#",
    three_hashes="#.b.#.c.#",
    star_dot_dot="*..",
)
def topic_pattern(s: Stage, pattern: str) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "topic")
    q = s.bound_queue(a, x, pattern)
    _publish_and_get(s, a, x, _TOPIC_KEYS, q)


@scenario
def topic_delivers_once_however_many_patterns_match(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "topic")
    q = s.bound_queue(a, x, "#")
    for pattern in ("a.*", "*.b", "a.b", "a.#", "#.b"):
        a.call("queue.bind", queue=q, exchange=x, routing_key=pattern)
    _publish_and_get(s, a, x, ["a.b"], q)
    a.call("queue.unbind", queue=q, exchange=x, routing_key="#")
    a.call("queue.unbind", queue=q, exchange=x, routing_key="a.*")
    _publish_and_get(s, a, x, ["a.b", "x.y"], q)


_HEADER_TABLES: list[dict[str, Any]] = [
    {},
    {"a": 1},
    {"a": 1, "b": "two"},
    {"a": 2, "b": "two"},
    {"b": "two"},
    {"a": 1, "b": "two", "c": True},
    {"a": Typed("s", 1)},
    {"a": Typed("l", 1), "b": b"two"},
    {"a": "1", "b": "two"},
    {"a": 1.0},
    {"a": Typed("T", 1)},
    {"a": True},
    {"a": None, "b": None},
    {"x-a": 1},
    {"a": 1, "b": "two", "x-a": 1},
]


def _publish_headers(s: Stage, arguments: dict[str, Any], tables: list[dict[str, Any]]) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "headers")
    q = s.declared_queue(a)
    a.call("queue.bind", queue=q, exchange=x, arguments=arguments)
    a.call("confirm.select")
    for number, table in enumerate(tables):
        a.publish(f"h{number}", exchange=x, mandatory=True, properties={"headers": table})
    a.publish("no headers", exchange=x, mandatory=True)
    a.confirms()
    a.call("queue.declare", queue=q, passive=True)


@cases(
    default={"a": 1, "b": "two"},
    all={"x-match": "all", "a": 1, "b": "two"},
    any={"x-match": "any", "a": 1, "b": "two"},
    all_with_x={"x-match": "all-with-x", "x-a": 1, "a": 1},
    any_with_x={"x-match": "any-with-x", "x-a": 1, "b": "two"},
    all_ignores_x={"x-match": "all", "x-a": 5, "a": 1},
    any_ignores_x={"x-match": "any", "x-a": 1},
    all_presence={"x-match": "all", "a": None},
    any_presence={"x-match": "any", "a": None, "c": None},
    all_nothing={"x-match": "all"},
    any_nothing={"x-match": "any"},
    nothing={},
    a_string={"a": "1"},
    a_long={"a": Typed("l", 1)},
    a_double={"a": 1.0},
    a_boolean={"a": True},
    a_timestamp={"a": Typed("T", 1)},
    a_byte_array={"b": b"two"},
)
def headers_binding(s: Stage, arguments: dict[str, Any]) -> None:
    _publish_headers(s, arguments, _HEADER_TABLES)


@scenario
def headers_compare_nested_values(s: Stage) -> None:
    nested: dict[str, Any] = {"l": [1, "a"], "t": {"k": 1}}
    tables = [nested, {"l": [1, "a"], "t": {"k": 2}}, {"l": ["a", 1], "t": {"k": 1}}, {"t": {"k": 1}}]
    _publish_headers(s, {"x-match": "all", **nested}, tables)


@cases(
    string="foo",
    upper="ALL",
    empty="",
    integer=1,
    boolean=True,
    none=None,
    binary=b"all",
)
def headers_refuse_the_x_match(s: Stage, value: object) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "headers")
    q = s.declared_queue(a)
    a.call("queue.bind", queue=q, exchange=x, arguments={"x-match": value, "a": 1})


@scenario
def headers_unbind_needs_the_same_arguments(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    x = s.declared_exchange(a, "headers")
    a.call("queue.bind", queue=q, exchange=x, arguments={"x-match": "all", "a": 1})
    a.call("queue.unbind", queue=q, exchange=x, arguments={"a": 1})
    a.publish("still bound", exchange=x, properties={"headers": {"a": 1}})
    s.drain(a, q)
    a.call("queue.unbind", queue=q, exchange=x, arguments={"x-match": "all", "a": 1})
    a.publish("not any more", exchange=x, properties={"headers": {"a": 1}}, mandatory=True)
    a.expect("basic.return")


@scenario
def amq_match_is_a_headers_exchange(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("queue.bind", queue=q, exchange="amq.match", arguments={"scenario": q})
    a.publish("m", exchange="amq.match", properties={"headers": {"scenario": q}})
    s.drain(a, q)


@scenario
def exchanges_in_a_chain(s: Stage) -> None:
    a = s.channel()
    x, y = s.declared_exchange(a, "topic"), s.declared_exchange(a, "direct", "y")
    a.call("exchange.bind", source=x, destination=y, routing_key="a.*")
    q = s.bound_queue(a, y, "a.b")
    _publish_and_get(s, a, x, ["a.b", "a.c", "b.a"], q)


@scenario
def a_diamond_of_exchanges_delivers_once(s: Stage) -> None:
    a = s.channel()
    top = s.declared_exchange(a, "fanout", "top")
    left, right = s.declared_exchange(a, "fanout", "left"), s.declared_exchange(a, "fanout", "right")
    q, r = s.bound_queue(a, left), s.bound_queue(a, right, "", "r")
    a.call("queue.bind", queue=q, exchange=right)
    a.call("queue.bind", queue=q, exchange=top)
    a.call("exchange.bind", source=top, destination=left)
    a.call("exchange.bind", source=top, destination=right)
    _publish_and_get(s, a, top, ["k"], q, r)


@scenario
def a_cycle_of_exchanges_ends(s: Stage) -> None:
    a = s.channel()
    x, y = s.declared_exchange(a, "fanout"), s.declared_exchange(a, "fanout", "y")
    q = s.bound_queue(a, y)
    a.call("exchange.bind", source=x, destination=y)
    a.call("exchange.bind", source=y, destination=x)
    a.call("exchange.bind", source=x, destination=x)
    _publish_and_get(s, a, x, ["k"], q)
    _publish_and_get(s, a, y, ["k"], q)


@scenario
def an_alternate_exchange_gets_what_is_unroutable(s: Stage) -> None:
    a = s.channel()
    alternate = s.declared_exchange(a, "fanout", "alternate")
    x = s.declared_exchange(a, "direct", arguments={"alternate-exchange": alternate})
    q, lost = s.bound_queue(a, x, "k"), s.bound_queue(a, alternate, "", "lost")
    _publish_and_get(s, a, x, ["k", "other"], q, lost)


@scenario
def alternate_exchanges_in_a_chain(s: Stage) -> None:
    a = s.channel()
    last = s.declared_exchange(a, "fanout", "last")
    middle = s.declared_exchange(a, "direct", "middle", arguments={"alternate-exchange": last})
    x = s.declared_exchange(a, "direct", arguments={"alternate-exchange": middle})
    q, lost = s.bound_queue(a, middle, "k"), s.bound_queue(a, last, "", "lost")
    _publish_and_get(s, a, x, ["k", "other"], q, lost)


@scenario
def a_missing_alternate_exchange_means_unroutable(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct", arguments={"alternate-exchange": s.exchange("nope")})
    _publish_and_get(s, a, x, ["k"])


@scenario
def alternate_exchanges_in_a_cycle_end(s: Stage) -> None:
    a = s.channel()
    y = s.exchange("y")
    x = s.declared_exchange(a, "direct", arguments={"alternate-exchange": y})
    a.call("exchange.declare", exchange=y, exchange_type="direct", arguments={"alternate-exchange": x})
    _publish_and_get(s, a, x, ["k"])


@scenario
def an_alternate_exchange_helps_a_destination_exchange_too(s: Stage) -> None:
    """Each exchange on the way that routes nowhere asks its own alternate."""
    a = s.channel()
    alternate = s.declared_exchange(a, "fanout", "alternate")
    x = s.declared_exchange(a, "fanout")
    y = s.declared_exchange(a, "direct", "y", arguments={"alternate-exchange": alternate})
    lost = s.bound_queue(a, alternate, "", "lost")
    q = s.bound_queue(a, x)
    a.call("exchange.bind", source=x, destination=y)
    _publish_and_get(s, a, x, ["k"], q, lost)


@scenario
def an_internal_alternate_exchange_works(s: Stage) -> None:
    a = s.channel()
    alternate = s.declared_exchange(a, "fanout", "alternate", internal=True)
    x = s.declared_exchange(a, "direct", arguments={"alternate-exchange": alternate})
    lost = s.bound_queue(a, alternate, "", "lost")
    _publish_and_get(s, a, x, ["k"], lost)


@scenario
def deleting_a_queue_removes_its_bindings(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct")
    q = s.bound_queue(a, x, "k")
    a.call("queue.delete", queue=q)
    a.call("queue.declare", queue=q)
    _publish_and_get(s, a, x, ["k"], q)
