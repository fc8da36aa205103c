"""What conversations hold that must not be shown or written down: passwords and tokens."""

from collections.abc import Mapping
from typing import Final

from amqpy_broker.testing.conversation.methods import MethodArguments

HIDDEN: Final = b"(hidden)"
_SECRETS: Final[Mapping[str, str]] = {
    "connection.start-ok": "response",
    "connection.secure-ok": "response",
    "connection.update-secret": "new_secret",
}


def without_secrets(method: str, arguments: MethodArguments) -> MethodArguments:
    """Return a method's arguments, its secret hidden if it has one. Who logs in by name and password is still told."""
    name = _SECRETS.get(method)
    secret = arguments.get(name) if name is not None else None
    if name is None or not isinstance(secret, bytes):
        return arguments
    return {**arguments, name: _without_password(arguments.get("mechanism"), secret)}


def _without_password(mechanism: object, response: bytes) -> bytes:
    parts = response.split(b"\0")
    if mechanism == "PLAIN" and len(parts) == 3:
        return b"\0".join((*parts[:2], HIDDEN))
    return HIDDEN
