"""A broker whose conversations are heard as they happen.

async with WiretappedBroker(on_event=lambda event: print(show(event))) as broker:
    connection = await aio_pika.connect(broker.url)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from anyio.abc import ByteStream

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.protocols.amqp091.connection import Connection
from amqpy_broker.protocols.amqp091.output import Output
from amqpy_broker.server.broker import Broker
from amqpy_broker.server.session import MakeConnection
from amqpy_broker.testing.conversation.decoder import Conversation
from amqpy_broker.testing.conversation.events import Event


class WiretappedBroker(Broker):
    """A broker that tells every event of every conversation to `on_event`: set it before the broker starts."""

    on_event: Callable[[Event], None] | None = None
    _conversation_count = 0

    def _connection_maker(self) -> MakeConnection:
        return self._make_connection

    def _make_connection(
        self,
        broker: BrokerCore,
        output: Output,
        stream: ByteStream,
        *,
        name: str,
        peer_is_local: bool,
        sooner: Callable[[], None],
    ) -> Connection:
        self._conversation_count += 1
        conversation = Conversation(broker.clock, self._conversation_count, name=name)
        self._tell([conversation.opened])
        return _HeardConnection(broker, output, conversation, self._tell, name=name, peer_is_local=peer_is_local)

    def _tell(self, events: Iterable[Event]) -> None:
        if self.on_event is not None:
            for event in events:
                self.on_event(event)


class _HeardConnection(Connection):
    """A connection that is listened to."""

    def __init__(
        self,
        broker: BrokerCore,
        output: Output,
        conversation: Conversation,
        tell: Callable[[Iterable[Event]], None],
        *,
        name: str,
        peer_is_local: bool,
    ) -> None:
        super().__init__(broker, output, name=name, peer_is_local=peer_is_local)
        self._conversation = conversation
        self._tell = tell

    def receive(self, data: bytes) -> None:
        """Hear what the client says, and take it in."""
        self._tell(self._conversation.client_sent(data))
        super().receive(data)

    def data_to_send(self) -> bytes:
        """Hear what is said to the client, and hand it out."""
        octets = super().data_to_send()
        self._tell(self._conversation.server_sent(octets))
        return octets

    def lost(self) -> None:
        """Tell the end, and learn it."""
        self._tell(self._conversation.ended())
        super().lost()
