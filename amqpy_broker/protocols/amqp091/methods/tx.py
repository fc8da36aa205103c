"""The class `tx`."""

from functools import partial
from typing import Final

from pamqp import commands

from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.names import DEFAULT_EXCHANGE
from amqpy_broker.protocols.amqp091.channel import Channel
from amqpy_broker.protocols.amqp091.codec import Method
from amqpy_broker.protocols.amqp091.transactions import PendingPublish, Transaction


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
    lost = [_publish(channel, publish) for publish in publishes].count(False)
    journal = channel.session.broker.journal
    if not lost and (journal is None or not (publishes or settlements)):
        # The answer comes before what the acknowledgements bring.
        channel.reply(commands.Tx.CommitOk)
    for settlement in settlements:
        channel.deliveries.apply(settlement.deliveries, settlement.fate)
    if lost:
        raise PreconditionFailed("partial tx completion")
    if journal is not None and (publishes or settlements):
        journal.when_synced(partial(_tell_committed, channel))


def _tell_committed(channel: Channel) -> None:
    """Answer, now that the transaction is durable; unless the channel has ended since."""
    if channel.transaction is not None:
        channel.reply(commands.Tx.CommitOk)


def _publish(channel: Channel, pending: PendingPublish) -> bool:
    """Hand a message to its queues; say whether all of them have it."""
    message, queues = pending.message, pending.queues
    if channel.session.broker.profile.finds_tx_queues_at_commit:
        if message.exchange == DEFAULT_EXCHANGE:
            queues = channel.queues_for(message.publish, message)
        queues = tuple(queue for queue in queues if not queue.deleted)
    accepted = [not queue.deleted and queue.enqueue(message) for queue in queues]
    if not queues and message.publish.mandatory:
        channel.return_unroutable(message)
    return all(accepted)


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
