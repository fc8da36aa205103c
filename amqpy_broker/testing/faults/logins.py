"""Logins that are refused."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import ClassVar, Final

from amqpy_broker.core.arguments import Argument
from amqpy_broker.protocols.amqp091.tables import MalformedTable, read_fields, write_table
from amqpy_broker.testing.conversation.frames import method_frame_of
from amqpy_broker.testing.faults.fault import Fault
from amqpy_broker.testing.faults.line import Line
from amqpy_broker.testing.faults.seen import Seen
from amqpy_broker.testing.faults.selection import Selection
from amqpy_broker.testing.link.link import Verdict

_WRONG: Final = "a password that nobody has"
_LENGTH_SIZE: Final = 4


class RefuseLogin(Fault):
    """Clients are refused as with a wrong password: it is replaced, and the broker does what it does then."""

    name: ClassVar[str] = "refuse_login"

    def __init__(self, selection: Selection, user: str) -> None:
        super().__init__(selection, details=f"user={user!r}")
        self._user = user

    def wants(self, line: Line, seen: Seen) -> bool:
        """Say whether a frame is a login of such a user."""
        is_login = seen.method == "connection.start-ok" and seen.is_readable
        return is_login and fnmatchcase(user_of(seen), self._user) and super().wants(line, seen)

    def happen(self, line: Line, seen: Seen) -> Verdict:
        """Replace the password."""
        arguments = {**seen.arguments, "response": b"\x00".join((b"", user_of(seen).encode(), _WRONG.encode()))}
        if arguments["mechanism"] == "AMQPLAIN":
            fields = {"LOGIN": Argument("longstr", user_of(seen)), "PASSWORD": Argument("longstr", _WRONG)}
            arguments["response"] = write_table(fields)[_LENGTH_SIZE:]
        else:
            arguments["mechanism"] = "PLAIN"
        frame = method_frame_of(seen.frame.direction, 0, seen.method, arguments)
        return [seen.frame.replaced_by(frame.octets)]


def user_of(seen: Seen) -> str:
    """Read who logs in; `guest` where nobody is named."""
    response = seen.arguments.get("response")
    if not isinstance(response, bytes):
        return "guest"
    if seen.arguments.get("mechanism") == "AMQPLAIN":
        try:
            login = read_fields(response, 0, len(response)).get("LOGIN")
        except MalformedTable:
            return "guest"
        return str(login.value) if login is not None else "guest"
    parts = response.split(b"\x00")
    return parts[1].decode("utf-8", "replace") if len(parts) == 3 else "guest"
