"""Connections and channels that live for one message."""

from __future__ import annotations

from typing import ClassVar, Final

from amqpy_broker.testing.conversation.events import Said
from amqpy_broker.testing.strict.rules.base import Rule, Surroundings
from amqpy_broker.testing.strict.talk import Talk

# So many in a row are a habit.
_HABIT: Final = 5


class ChannelPerMessage(Rule):
    """A channel is opened, publishes once, and is closed; and again."""

    name: ClassVar[str] = "channel-per-message"
    fix: ClassVar[str] = (
        "keep a channel open for all that one task or thread publishes: opening and closing one costs two round trips"
    )

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        # Publishes on the channels that are open; and channels of one publish, one after the other.
        self._publishes: dict[tuple[Talk, int], int] = {}
        self._in_a_row: dict[Talk, int] = {}

    def client_said(self, talk: Talk, said: Said) -> None:
        """Count what is done on each channel."""
        key = talk, said.channel
        if said.name == "channel.open":
            self._publishes[key] = 0
        elif said.name == "basic.publish" and key in self._publishes:
            self._publishes[key] += 1
        elif said.name == "basic.consume":
            self._publishes.pop(key, None)
        elif said.name == "channel.close" and key in self._publishes:
            self._closed(talk, said.channel, self._publishes.pop(key))

    def _closed(self, talk: Talk, channel: int, publishes: int) -> None:
        count = self._in_a_row[talk] = self._in_a_row.get(talk, 0) + 1 if publishes == 1 else 0
        if count == _HABIT:
            self.report(talk, channel, f"{_HABIT} channels one after the other were opened for one message each")

    def ended(self, talk: Talk) -> None:
        """Forget a connection."""
        self._publishes = {key: count for key, count in self._publishes.items() if key[0] is not talk}
        self._in_a_row.pop(talk, None)


class ConnectionPerMessage(Rule):
    """A connection is opened, publishes once, and is closed; and again."""

    name: ClassVar[str] = "connection-per-message"
    fix: ClassVar[str] = (
        "keep one connection open for the life of the process: opening one costs the broker a process, and you seven"
        " round trips"
    )

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        # Connections of one publish, one after the other, by client and vhost.
        self._in_a_row: dict[tuple[str, str], int] = {}

    def forget(self) -> None:
        """Count from the beginning."""
        self._in_a_row.clear()

    def ended(self, talk: Talk) -> None:
        """Count connections that published once."""
        if talk.consumed:
            return
        key = talk.client, talk.vhost
        count = self._in_a_row[key] = self._in_a_row.get(key, 0) + 1 if talk.published_count == 1 else 0
        if count == _HABIT:
            self.report(talk, 0, f"{_HABIT} connections one after the other were opened for one message each")
