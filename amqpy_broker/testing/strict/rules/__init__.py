"""The rules of strict mode: each a small class; this is the list of them."""

from collections.abc import Sequence
from typing import Final

from amqpy_broker.testing.strict.rules.base import Rule
from amqpy_broker.testing.strict.rules.consuming import (
    AutomaticAck,
    NoHeartbeat,
    PollingGet,
    ReusedConsumerTag,
    UnhandledCancel,
    UnlimitedPrefetch,
    UnnoticedCancel,
)
from amqpy_broker.testing.strict.rules.declaring import (
    DeprecatedArgument,
    GlobalPrefetch,
    InequivalentRedeclare,
    TransientQueue,
)
from amqpy_broker.testing.strict.rules.economy import ChannelPerMessage, ConnectionPerMessage
from amqpy_broker.testing.strict.rules.publishing import PersistentWithoutConfirms, UnroutableDropped
from amqpy_broker.testing.strict.rules.settling import RequeueLoop, SettledTwice, UnackedAtClose

RULES: Final[Sequence[type[Rule]]] = (
    UnroutableDropped,
    PersistentWithoutConfirms,
    UnackedAtClose,
    RequeueLoop,
    SettledTwice,
    UnlimitedPrefetch,
    AutomaticAck,
    PollingGet,
    UnhandledCancel,
    UnnoticedCancel,
    ReusedConsumerTag,
    NoHeartbeat,
    ChannelPerMessage,
    ConnectionPerMessage,
    InequivalentRedeclare,
    TransientQueue,
    GlobalPrefetch,
    DeprecatedArgument,
)
