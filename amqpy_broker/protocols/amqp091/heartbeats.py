"""Heartbeats in both directions [connection.tune.heartbeat] (https://www.rabbitmq.com/docs/heartbeats).

Rule 1: we send a heartbeat when we have sent nothing for half an interval.
Rule 2: a peer from which nothing came for two intervals is gone.
"""

from typing import Final

_NEVER: Final = float("inf")


class Heartbeats:
    """When to send one, and when to give up. Times are the clock's seconds; interval 0 means neither."""

    __slots__ = ("_interval_s", "_received_s", "_sent_s", "listening")

    def __init__(self, interval_s: int, now_s: float) -> None:
        self._interval_s = interval_s
        self._received_s = now_s
        self._sent_s = now_s
        # False while the peer is not read from.
        self.listening = True

    def received(self, now_s: float) -> None:
        """Note that something came: any octet counts."""
        self._received_s = now_s

    def sent(self, now_s: float) -> None:
        """Note that something was sent."""
        self._sent_s = now_s

    @property
    def send_at_s(self) -> float:
        """When to send the next one."""
        return self._sent_s + self._interval_s / 2 if self._interval_s else _NEVER

    @property
    def give_up_at_s(self) -> float:
        """When the peer counts as gone."""
        return self._received_s + 2 * self._interval_s if self._interval_s and self.listening else _NEVER
