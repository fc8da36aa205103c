"""The class `tx`."""

from typing import Final

from pamqp import commands

from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.protocols.amqp091.channel import Channel
from amqpy_broker.protocols.amqp091.codec import Method
from amqpy_broker.protocols.amqp091.transactions import Transaction


def select(channel: Channel, method: Method) -> None:
    """Begin to work in transactions [tx.select]."""
    if channel.confirms is not None:
        raise PreconditionFailed("cannot switch from confirm to tx mode")
    if channel.transaction is None:
        channel.transaction = Transaction()
    channel.reply(commands.Tx.SelectOk)


def commit(channel: Channel, method: Method) -> None:
    """Do everything since the last commit, in one step [tx.commit]."""
    transaction = _transaction(channel)
    publishes, settlements = list(transaction.publishes), list(transaction.settlements)
    transaction.clear()
    lost = False
    for publish in publishes:
        for queue in publish.queues:
            if queue.deleted:
                lost = True
            else:
                queue.enqueue(publish.message)
        if not publish.queues and publish.message.publish.mandatory:
            channel.return_unroutable(publish.message)
    for settlement in settlements:
        channel.apply_settlement(settlement.deliveries, requeue=settlement.requeue)
    if lost and channel.session.broker.profile.refuses_partial_tx:
        raise PreconditionFailed("partial tx completion")
    channel.reply(commands.Tx.CommitOk)


def rollback(channel: Channel, method: Method) -> None:
    """Forget everything since the last commit: what was acknowledged is unacknowledged again [tx.rollback]."""
    transaction = _transaction(channel)
    for settlement in transaction.settlements:
        channel.deliveries.put_back(settlement.deliveries)
    transaction.clear()
    channel.reply(commands.Tx.RollbackOk)


def _transaction(channel: Channel) -> Transaction:
    if channel.transaction is None:
        raise PreconditionFailed("channel is not transactional")
    return channel.transaction


HANDLERS: Final = {
    commands.Tx.Select.index: select,
    commands.Tx.Commit.index: commit,
    commands.Tx.Rollback.index: rollback,
}
