"""The recent history exchange: a fanout that tells newcomers what they missed.

See https://github.com/rabbitmq/rabbitmq-server/tree/main/deps/rabbitmq_recent_history_exchange.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from amqpy_broker.core.arguments import Argument, Kind, term
from amqpy_broker.core.erlang_terms import format_p
from amqpy_broker.core.errors import InternalError, InternalRefusal, PreconditionFailed
from amqpy_broker.core.exchanges.base import Exchange, ExchangeProperties, KeptByExchange, Matched
from amqpy_broker.core.exchanges.bindings import Binding
from amqpy_broker.core.exchanges.fanout import FanoutExchange
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Queue

LENGTH: Final = "x-recent-history-length"
NO_STORE: Final = "x-recent-history-no-store"
LENGTH_DEFAULT: Final = 20
# RabbitMQ counts unsigned integers out here.
_LENGTH_KINDS: Final[frozenset[Kind]] = frozenset(("byte", "short", "signedint", "long"))


class RecentHistoryExchange(FanoutExchange):
    """Send each message to every bound destination, keep the last ones, and send those to who is bound later."""

    __slots__ = ("_around", "_history", "_memory_bytes")

    type: ClassVar[str] = "x-recent-history"

    def __init__(self, properties: ExchangeProperties) -> None:
        super().__init__(properties)
        self._around = properties.around
        length = properties.arguments.get(LENGTH)
        length_max = length.value if length is not None else LENGTH_DEFAULT
        assert isinstance(length_max, int)
        self._history: deque[Message] = deque(maxlen=length_max)
        self._memory_bytes = 0

    @classmethod
    def check_properties(cls, properties: ExchangeProperties) -> None:
        """Refuse a length that is not a positive integer."""
        length = properties.arguments.get(LENGTH)
        if length is None:
            return
        if length.kind not in _LENGTH_KINDS or not isinstance(length.value, int) or length.value <= 0:
            shown = format_p(term(length.value), unicode=properties.profile.prints_unicode)
            raise PreconditionFailed(f"Invalid argument {shown}, '{LENGTH}' must be a positive integer")

    @property
    def decides_for_each_message(self) -> bool:
        """Always: each message is history."""
        return True

    @property
    def memory_bytes(self) -> int:
        """Memory held by the history."""
        return self._memory_bytes

    @property
    def history(self) -> tuple[Message, ...]:
        """The messages that a newcomer will get, oldest first."""
        return tuple(self._history)

    def route_message(self, message: Message, keys: Sequence[str], matched: Matched) -> bool:
        """Add every bound destination, and keep the message unless its header says not to."""
        if message.headers.get(NO_STORE) != Argument("bool", True):
            self._keep(message)
        self._bound.match_all(matched)
        return False

    def brought_by(self, binding: Binding) -> Sequence[tuple[Message, Sequence[Queue]]]:
        """Bring the history to the new destination: oldest first to a queue, newest first to an exchange.

        Raises:
            InternalError: the exchange has no way for a message, as in RabbitMQ.
        """
        destination = binding.destination
        if isinstance(destination, Queue):
            return [(message, (destination,)) for message in self.history]
        assert isinstance(destination, Exchange)
        brought = [(message, self._around.route_message(destination, message)) for message in reversed(self.history)]
        if not all(queues for _, queues in brought):
            text = "could not find queue/exchange ''"
            raise InternalError("") if self.profile.dies_of_unroutable_history else InternalRefusal(text)
        return brought

    def close(self) -> None:
        """Forget the history."""
        self._history.clear()
        self._memory_bytes = 0

    @property
    def kept(self) -> tuple[KeptByExchange, ...]:
        """The history, oldest first."""
        return tuple(map(KeptByExchange, self._history))

    def refill(self, kept: Iterable[KeptByExchange]) -> None:
        """Have this history."""
        RecentHistoryExchange.close(self)
        for message, _ in kept:
            self._keep(message)

    def _keep(self, message: Message) -> None:
        history = self._history
        if len(history) == history.maxlen:
            self._memory_bytes -= history[0].memory_size + MESSAGE_OVERHEAD_BYTES
        history.append(message)
        self._memory_bytes += message.memory_size + MESSAGE_OVERHEAD_BYTES
