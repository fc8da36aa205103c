"""What queues and exchanges may be called, and what becomes of odd names."""

from __future__ import annotations

from typing import Any

from interop.differential.scenario import Stage, cases, scenario


@cases(
    space="a b",
    symbols="!@#$%^&*()[]{}<>?|~`'",
    quote='say "hi"',
    umlaut="grüße",
    emoji="rabbit🐇",
    cjk="キュー",
    tab="a\tb",
    nul="a\x00b",
)
def a_queue_may_be_called(s: Stage, label: str) -> None:
    a = s.channel()
    q = s.queue(label)
    a.call("queue.declare", queue=q)
    a.publish("m", to=q)
    a.call("basic.get", queue=q, no_ack=True)
    a.call("exchange.declare", exchange=s.exchange(label), exchange_type="fanout")
    a.call("queue.declare", queue=s.queue(label + "nope"), passive=True)


@scenario
def a_name_may_have_255_bytes(s: Stage) -> None:
    a = s.channel()
    q = s.queue("x" * 249)
    a.call("queue.declare", queue=q)
    a.publish("m", to=q)
    a.call("basic.get", queue=q, no_ack=True)
    a.call("queue.declare", queue=q, durable=True)


@cases(queue=("queue", {}), exchange=("exchange", {"exchange_type": "direct"}))
def line_ends_are_stripped_from_the_name_of_a(s: Stage, what: tuple[str, dict[str, Any]]) -> None:
    noun, fields = what
    a = s.channel()
    name = getattr(s, noun)("lines")
    odd = name.replace("lines", "li\rn\nes\r\n")
    a.call(f"{noun}.declare", **{noun: odd}, **fields)
    a.call(f"{noun}.declare", **{noun: name}, passive=True, **fields)
    a.call(f"{noun}.delete", **{noun: odd})
    a.call(f"{noun}.declare", **{noun: name}, passive=True, **fields)


@scenario
def line_ends_are_stripped_when_binding(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, "lines")
    x = s.declared_exchange(a, "direct", "xlines")
    a.call("queue.bind", queue=q.replace("lines", "lines\n"), exchange=x.replace("lines", "\rlines"), routing_key="k\n")
    a.publish("as bound", exchange=x, to="k\n", mandatory=True)
    a.publish("stripped", exchange=x, to="k", mandatory=True)
    a.expect("basic.return", 1)
    s.drain(a, q)


@cases(get="basic.get", consume="basic.consume", purge="queue.purge")
def line_ends_in_a_queue_name_given_to(s: Stage, method: str) -> None:
    a = s.channel()
    q = s.declared_queue(a, "lines", messages=1)
    a.call(method, queue=q.replace("lines", "lines\n"))


@scenario
def a_name_of_nothing_but_line_ends(s: Stage) -> None:
    a = s.channel()
    a.call("queue.declare", queue="\n", exclusive=True)


@cases(declare={}, passive={"passive": True}, exclusive={"exclusive": True})
def a_queue_called_amq_dot_something(s: Stage, fields: dict[str, Any]) -> None:
    s.channel().call("queue.declare", queue="amq.foo", **fields)


@scenario
def a_server_given_name_cannot_be_declared_again(s: Stage) -> None:
    a = s.channel()
    reply = a.call("queue.declare", queue="", exclusive=True)
    assert reply is not None
    a.call("queue.declare", queue=str(reply["queue"]), passive=True)
    a.call("queue.declare", queue=str(reply["queue"]), exclusive=True)


@scenario
def amq_without_a_dot_is_not_reserved(s: Stage) -> None:
    a = s.channel()
    q = s.queue("amqx")
    a.call("queue.declare", queue=q)
    a.call("queue.declare", queue=s.queue("AMQ"), exclusive=True)
