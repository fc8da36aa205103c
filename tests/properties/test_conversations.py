"""Conversations: how octets are divided into reads, and what is remembered, makes no difference to what happens."""

from hypothesis import example, given
from hypothesis import strategies as st
from pamqp.commands import Basic, Channel, Confirm, Connection, Queue, Tx

from tests.conversations import (
    PREPARATION,
    Steps,
    at_once,
    conversations,
    divided_at,
    octet_by_octet,
    outcome,
    play,
    publishers,
)
from tests.wire import frame, method, new_broker, publish

cuts = st.lists(st.integers(0, 2**20), max_size=12)


@given(conversations(), cuts)
@example([*PREPARATION, method(0, Connection.Open), method(0, Connection.CloseOk), method(0, Connection.Close)], [])
@example([*PREPARATION, frame(8, 1), method(0, Connection.Close)], [len(b"".join(PREPARATION)) + 8])
def test_any_division_into_reads_gives_the_same_outcome(steps: Steps, where: list[int]) -> None:
    whole = outcome(play(new_broker(), steps, at_once))

    assert outcome(play(new_broker(), steps, divided_at(where))) == whole


@given(conversations(max_size=15))
def test_octet_by_octet_gives_the_same_outcome(steps: Steps) -> None:
    whole = outcome(play(new_broker(), steps, at_once))

    assert outcome(play(new_broker(), steps, octet_by_octet)) == whole


@given(conversations(), cuts)
@example([*PREPARATION, method(1, Basic.Nack, delivery_tag=2**64 - 1)], [])
@example([*PREPARATION, method(1, Basic.Ack, delivery_tag=2**64 - 1)], [])
def test_nothing_remembered_gives_the_same_outcome(steps: Steps, where: list[int]) -> None:
    remembered = outcome(play(new_broker(), steps, divided_at(where)))

    assert outcome(play(new_broker(), steps, divided_at(where), memos=False)) == remembered


LOOP = publish(1, "", "q0", b"x") * 3
FAN_OUT = publish(1, "x0", "", b"x") * 3
CONSUME = method(1, Basic.Consume, queue="q0", consumer_tag="c")
ACKS = b"".join(method(1, Basic.Ack, delivery_tag=tag) for tag in (1, 2, 3))


@given(publishers())
@example([*PREPARATION, LOOP, method(1, Channel.Close), LOOP])
@example([*PREPARATION, LOOP, method(1, Channel.Close), method(1, Channel.Open), LOOP])
@example([*PREPARATION, LOOP, method(1, Tx.Select), LOOP])
@example([*PREPARATION, LOOP, method(1, Confirm.Select), LOOP])
@example([*PREPARATION, LOOP, method(1, Basic.Publish), LOOP])
@example([*PREPARATION, LOOP, LOOP[:-3], LOOP])
@example([*PREPARATION, LOOP, method(2, Queue.Delete, queue="q0"), LOOP])
@example([*PREPARATION, LOOP, method(0, Connection.Close), LOOP])
@example([*PREPARATION, FAN_OUT, method(1, Queue.Bind, queue="q2", exchange="x0"), FAN_OUT])
@example([*PREPARATION, CONSUME, LOOP, method(1, Tx.Select), ACKS, method(1, Tx.Rollback)])
@example([*PREPARATION, CONSUME, LOOP, ACKS[:-1] + b"!", method(1, Channel.Flow, active=True)])
@example([*PREPARATION, LOOP, LOOP.replace(b"\xce", b"!")])
def test_a_loop_of_publishes_gives_the_same_outcome_however_it_comes(steps: Steps) -> None:
    remembered = outcome(play(new_broker(), steps, None))

    assert outcome(play(new_broker(), steps, None, memos=False)) == remembered
    assert outcome(play(new_broker(), steps, at_once)) == remembered
    assert outcome(play(new_broker(), steps, octet_by_octet)) == remembered


@given(conversations(mistakes_too=False), conversations(mistakes_too=False))
def test_a_warm_memo_gives_the_same_outcome_as_a_cold_one(before: Steps, steps: Steps) -> None:
    both = [*before, *steps]

    assert outcome(play(new_broker(), both, memos=False)) == outcome(play(new_broker(), both))
