"""What is checked of a message's properties and its size: user-id, max_message_size."""

from __future__ import annotations

from interop.differential.scenario import Stage, cases, scenario

MIB = 1 << 20


@cases(own="guest", other="bob", empty="", capitals="Guest", with_space="guest ", umlaut="\u00e4")
def user_id_of_a_message(s: Stage, name: str) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("m1", to=q, properties={"user_id": name})
    a.call("basic.get", queue=q)


@scenario
def a_wrong_user_id_is_refused_even_if_nobody_gets_the_message(s: Stage) -> None:
    a = s.channel()
    a.publish("m1", to=s.queue("nope"), mandatory=True, properties={"user_id": "bob"})
    a.expect("channel.close")


@scenario
def a_wrong_user_id_and_a_missing_exchange(s: Stage) -> None:
    a = s.channel()
    a.publish("m1", exchange=s.exchange("nope"), properties={"user_id": "bob"})
    a.expect("channel.close")


@scenario
def a_wrong_user_id_and_a_wrong_expiration(s: Stage) -> None:
    a = s.channel()
    a.publish("m1", to=s.queue("nope"), properties={"user_id": "bob", "expiration": "abc"})
    a.expect("channel.close")


@scenario
def a_wrong_user_id_in_a_transaction_and_with_confirms(s: Stage) -> None:
    connection = s.connection()
    a, b = connection.channel(), connection.channel()
    q = s.declared_queue(a)
    a.call("tx.select")
    a.publish("m1", to=q, properties={"user_id": "bob"})
    a.expect("channel.close")
    b.call("confirm.select")
    b.publish("m2", to=q, properties={"user_id": "bob"})
    b.expect("channel.close")


@scenario
def a_message_of_more_than_16_mib(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish(b"x" * (16 * MIB + 1), to=q)
    a.call("basic.get", queue=q, no_ack=True)
