"""Credit: how much of what one client sent is acted on before others have their turn.

A turn of the event loop acts on one read of each client, so it takes as long as all their reads together, and whoever
asks a small question waits for two turns. Those that flood share the time of a turn: who takes longer than its share
reads less the next time, and more again when it took less. Publishers of one queue have one share together
(`queue_credit.py`), others have one each.
"""

from typing import Final, Protocol

from amqpy_broker.core.clock import Clock

# Large reads make large batches: one write, one confirm, one turn of the loop for many messages.
LARGEST_READ_BYTES: Final = 262_144
# Some twenty small messages, or a part of a large one.
SMALLEST_READ_BYTES: Final = 4_096
# What a turn may take, and what is left of it for each, however many share it.
TURN_S: Final = 0.02
LEAST_SHARE_S: Final = 0.0005
# Who takes less than this for a read is no matter.
_BUSY_S: Final = 0.0002


class Shares(Protocol):
    """Something that several share: a turn of the loop, or one queue's part of it."""

    @property
    def share_s(self) -> float:
        """How long a read of one of them may take."""
        ...

    def change(self, count: int) -> None:
        """Learn that so many more are busy, or fewer."""
        ...


class Credit:
    """Knows how many are busy, and so how much time each has."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.share_s = TURN_S
        self._busy_count = 0

    def change(self, count: int) -> None:
        """Learn that so many more are busy, or fewer."""
        self._busy_count += count
        self.share_s = max(TURN_S / max(self._busy_count, 1), LEAST_SHARE_S)


class ClientCredit:
    """One client's part in it: `read_size_bytes` is how much may be read from it at once."""

    def __init__(self, credit: Credit) -> None:
        self._shares: Shares = credit
        self._now_s = credit.clock.monotonic_s
        self._is_busy = False
        self._began_s = 0.0
        # Nobody knows yet what this client's octets cost: a thousand that begin at once must not fill seconds.
        self.read_size_bytes = SMALLEST_READ_BYTES
        # How long the last read took.
        self.took_s = 0.0

    def share(self, shares: Shares) -> None:
        """Take part in these shares from now on, and no longer in others."""
        if shares is not self._shares:
            self._set(False)
            self._shares = shares

    def begin(self) -> None:
        """Learn that a read begins to be acted on."""
        self._began_s = self._now_s()

    def end(self, size: int) -> None:
        """Learn that a read of this size was acted on."""
        took_s = self.took_s = self._now_s() - self._began_s
        self._set(took_s >= _BUSY_S)
        share_s = self._shares.share_s
        if took_s > share_s or size >= self.read_size_bytes:
            fits = int(size * share_s / took_s) if took_s else LARGEST_READ_BYTES
            self.read_size_bytes = max(min(fits, 2 * size, LARGEST_READ_BYTES), SMALLEST_READ_BYTES)

    def rest(self) -> None:
        """Learn that the client is not read from, for now or for ever."""
        self._set(False)

    def _set(self, is_busy: bool) -> None:
        if is_busy is not self._is_busy:
            self._is_busy = is_busy
            self._shares.change(1 if is_busy else -1)
