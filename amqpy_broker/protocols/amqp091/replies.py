"""Close frames: the one place where a mistake becomes bytes."""

from pamqp import commands

from amqpy_broker.core.errors import AmqpError
from amqpy_broker.protocols.amqp091.codec import method_frame


def channel_close(channel: int, refusal: AmqpError, index: int) -> bytes:
    """Write channel.close; `index` is the method that failed."""
    return method_frame(channel, commands.Channel.Close, refusal.code, refusal.reply_text, index >> 16, index & 0xFFFF)


def connection_close(refusal: AmqpError, index: int) -> bytes:
    """Write connection.close; `index` is the method that failed, 0 if it was none."""
    return method_frame(0, commands.Connection.Close, refusal.code, refusal.reply_text, index >> 16, index & 0xFFFF)
