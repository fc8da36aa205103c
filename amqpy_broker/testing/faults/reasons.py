"""Close codes and texts, as RabbitMQ writes them: `PRECONDITION_FAILED - unknown delivery tag 7`."""

from typing import Final

from amqpy_broker.core.errors import AmqpError, Scope

NAMES: Final = {
    311: "CONTENT_TOO_LARGE",
    312: "NO_ROUTE",
    313: "NO_CONSUMERS",
    320: "CONNECTION_FORCED",
    402: "INVALID_PATH",
    403: "ACCESS_REFUSED",
    404: "NOT_FOUND",
    405: "RESOURCE_LOCKED",
    406: "PRECONDITION_FAILED",
    501: "FRAME_ERROR",
    502: "SYNTAX_ERROR",
    503: "COMMAND_INVALID",
    504: "CHANNEL_ERROR",
    505: "UNEXPECTED_FRAME",
    506: "RESOURCE_ERROR",
    530: "NOT_ALLOWED",
    540: "NOT_IMPLEMENTED",
    541: "INTERNAL_ERROR",
}


def refusal(code: int, text: str, scope: Scope) -> AmqpError:
    """Make a refusal with any code and text; a known code's name is put before the text, if it is not there."""
    known = NAMES.get(code, "")
    if not text.startswith(known):
        text = f"{known} - {text}" if text else known

    class Refusal(AmqpError):
        """A refusal that was asked for."""

        @property
        def reply_text(self) -> str:
            """The reply text."""
            return self.text

    Refusal.code, Refusal.name, Refusal.scope = code, known, scope
    return Refusal(text or known)
