"""What a client can do wrong. Codes, names and levels are those of AMQP 0-9-1 and of RabbitMQ."""

import pytest

from amqpy_broker.core import errors
from amqpy_broker.core.errors import AmqpError, Scope

CHANNEL, CONNECTION = Scope.CHANNEL, Scope.CONNECTION
KINDS: list[tuple[type[AmqpError], int, str, Scope]] = [
    (errors.ConnectionForced, 320, "CONNECTION_FORCED", CONNECTION),
    (errors.AccessRefused, 403, "ACCESS_REFUSED", CHANNEL),
    (errors.NotFound, 404, "NOT_FOUND", CHANNEL),
    (errors.ResourceLocked, 405, "RESOURCE_LOCKED", CHANNEL),
    (errors.PreconditionFailed, 406, "PRECONDITION_FAILED", CHANNEL),
    (errors.FrameError, 501, "FRAME_ERROR", CONNECTION),
    (errors.SyntaxFault, 502, "SYNTAX_ERROR", CONNECTION),
    (errors.CommandInvalid, 503, "COMMAND_INVALID", CONNECTION),
    (errors.ChannelError, 504, "CHANNEL_ERROR", CONNECTION),
    (errors.UnexpectedFrame, 505, "UNEXPECTED_FRAME", CONNECTION),
    (errors.NotAllowed, 530, "NOT_ALLOWED", CONNECTION),
    (errors.NotImplementedByBroker, 540, "NOT_IMPLEMENTED", CONNECTION),
    (errors.InternalError, 541, "INTERNAL_ERROR", CONNECTION),
    (errors.LoginRefused, 403, "ACCESS_REFUSED", CONNECTION),
]


@pytest.mark.parametrize(("kind", "code", "name", "scope"), KINDS)
def test_a_mistake_has_its_code_its_name_and_its_level(
    kind: type[AmqpError], code: int, name: str, scope: Scope
) -> None:
    error = kind("why")

    assert (error.code, error.scope, error.reply_text) == (code, scope, f"{name} - why")


def test_without_an_explanation_the_name_stands_alone() -> None:
    assert errors.InternalError("").reply_text == "INTERNAL_ERROR"
