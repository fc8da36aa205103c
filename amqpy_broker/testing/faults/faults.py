"""`broker.faults`: whatever can go wrong, when a test wants it to.

with broker.faults.drop_connection(connection="worker", method="basic.ack"):
    ...
broker.faults.nack_publishes(queue="orders", times=2)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar, Unpack

from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.faults.alarms import DiskAlarm, MemoryAlarm
from amqpy_broker.testing.faults.closes import CloseChannel, CloseConnection
from amqpy_broker.testing.faults.confirms import DelayConfirms, LoseConfirms, NackPublishes
from amqpy_broker.testing.faults.consumers import CancelConsumers
from amqpy_broker.testing.faults.corruption import CorruptFrames, Damage
from amqpy_broker.testing.faults.delays import Delay, Seconds, Slow, Swallow
from amqpy_broker.testing.faults.deliveries import DuplicateDeliveries, ReorderRedeliveries
from amqpy_broker.testing.faults.desk import Desk
from amqpy_broker.testing.faults.drops import DropConnection, How, RefuseConnections
from amqpy_broker.testing.faults.fault import Fault, RunsInBroker
from amqpy_broker.testing.faults.logins import RefuseLogin
from amqpy_broker.testing.faults.selection import About, AboutFrames, AboutMethods, Selection, Sender

F = TypeVar("F", bound=Fault)


class Faults:
    """Makes faults. Each is in force at once, until its scope ends, it has fired its `times`, or `stop`.

    What a fault may be about is told in `About`, `AboutMethods` and `AboutFrames`.
    """

    def __init__(self, desk: Desk, runner: RunsInBroker) -> None:
        self._desk = desk
        self._runner = runner

    # --- connections ------------------------------------------------------------------------------------------------

    def drop_connection(self, *, how: How = "close", **about: Unpack[AboutFrames]) -> DropConnection:
        """Break connections: at once, or when a frame comes that is told of.

        Args:
            how: "close" their sockets; "reset" them, and lose what was not sent; or "half-open": nothing gets through
                any more, no heartbeats either, and nobody is told.
            about: which connections, and for which frames to wait.
        """
        return self._begin(DropConnection(Selection.of(about), how), about)

    def refuse_connections(
        self, *, how: Literal["close", "reset"] = "reset", times: int | None = None, may_not_fire: bool = False
    ) -> RefuseConnections:
        """Turn away whoever connects.

        Args:
            how: "reset" or "close" the socket, before anything is said.
            times: how often.
            may_not_fire: it is no mistake if nobody comes.
        """
        return self._begin(RefuseConnections(how), _lasting(times, may_not_fire=may_not_fire))

    def refuse_login(
        self,
        *,
        user: str = "*",
        connection: str | None = None,
        times: int | None = None,
        may_not_fire: bool = False,
    ) -> RefuseLogin:
        """Refuse logins as if the password were wrong: with 403 ACCESS_REFUSED, in RabbitMQ's words.

        Args:
            user: whose.
            connection: on which connections.
            times: how often.
            may_not_fire: it is no mistake if nobody comes.
        """
        selection = Selection(connection=connection)
        return self._begin(RefuseLogin(selection, user), _lasting(times, may_not_fire=may_not_fire))

    def close_connection(self, code: int = 320, text: str = "", **about: Unpack[AboutFrames]) -> CloseConnection:
        """Let the broker close connections, at once or in place of acting on a method.

        Args:
            code: the reply code.
            text: the reply text, after the code's name.
            about: which connections, and for which methods to wait.
        """
        return self._begin(CloseConnection(Selection.of(about), code, text), about)

    def close_channel(self, code: int = 406, text: str = "", **about: Unpack[AboutFrames]) -> CloseChannel:
        """Let the broker close channels, at once or in place of acting on a method.

        Args:
            code: the reply code.
            text: the reply text, after the code's name.
            about: which channels, and for which methods to wait.
        """
        return self._begin(CloseChannel(Selection.of(about), code, text), about)

    # --- frames -----------------------------------------------------------------------------------------------------

    def delay(self, method: str, seconds: Seconds | None = None, **about: Unpack[AboutMethods]) -> Delay:
        """Hold back methods; what follows them the same way on the channel comes after them.

        Args:
            method: as in `basic.publish`; `basic.*` and `heartbeat` will do, too.
            seconds: how long, on the broker's clock; two numbers: something in between; None: until the end of this.
            about: which of them.
        """
        return self._begin(Delay(Selection.of(_methods(method, about)), seconds), _methods(method, about))

    def swallow(self, method: str, **about: Unpack[AboutMethods]) -> Swallow:
        """Let methods vanish, with the messages that they carry.

        Args:
            method: as in `basic.publish`; `basic.*` and `heartbeat` will do, too.
            about: which of them.
        """
        return self._begin(Swallow(Selection.of(_methods(method, about))), _methods(method, about))

    def corrupt_frames(
        self, *, damage: Damage = "frame-end", bits: int = 1, **about: Unpack[AboutFrames]
    ) -> CorruptFrames:
        """Damage frames.

        Args:
            damage: at the "frame-end", an octet that all frames have; or in "bits" of what is in them.
            bits: how many are flipped.
            about: which frames; times is 1 if it is not told.
        """
        about.setdefault("times", 1)
        return self._begin(CorruptFrames(Selection.of(about), damage, bits), about)

    def slow_socket(
        self,
        bytes_per_second: float,
        *,
        connection: str | None = None,
        sent_by: Sender | None = None,
        may_not_fire: bool = False,
    ) -> Slow:
        """Let sockets carry so many bytes a second, on the broker's clock.

        Args:
            bytes_per_second: for each socket, each way; a frame comes when all of it has come.
            connection: which.
            sent_by: one way alone.
            may_not_fire: it is no mistake if nothing passes.
        """
        fault = Slow(Selection(connection=connection, sent_by=sent_by), bytes_per_second)
        return self._begin(fault, _lasting(None, may_not_fire=may_not_fire))

    # --- confirms ---------------------------------------------------------------------------------------------------

    def nack_publishes(self, **about: Unpack[About]) -> NackPublishes:
        """Refuse publishes on channels in confirm mode: they reach no queue, and the client gets basic.nack.

        Args:
            about: which of them; `queue` is that of a publish to the default exchange.
        """
        return self._begin(NackPublishes(Selection.of(_publishes(about))), _publishes(about))

    def lose_confirms(self, **about: Unpack[About]) -> LoseConfirms:
        """Never confirm publishes, though they arrive.

        Args:
            about: which of them; `queue` is that of a publish to the default exchange.
        """
        return self._begin(LoseConfirms(Selection.of(_publishes(about))), _publishes(about))

    def delay_confirms(self, seconds: Seconds, **about: Unpack[About]) -> DelayConfirms:
        """Confirm publishes late.

        Args:
            seconds: how late, on the broker's clock; two numbers: something in between.
            about: which of them; `queue` is that of a publish to the default exchange.
        """
        return self._begin(DelayConfirms(Selection.of(_publishes(about)), seconds), _publishes(about))

    # --- consumers --------------------------------------------------------------------------------------------------

    def cancel_consumers(
        self,
        *,
        queue: str = "*",
        consumer_tag: str = "*",
        connection: str | None = None,
        channel: int | None = None,
        times: int | None = None,
        may_not_fire: bool = False,
    ) -> CancelConsumers:
        """Cancel consumers, at once; what they hold they may still settle.

        Args:
            queue: of which queue.
            consumer_tag: which of its consumers.
            connection: on which connections.
            channel: on which channels.
            times: how many.
            may_not_fire: it is no mistake if there are none.
        """
        fault = CancelConsumers(Selection(connection=connection, channel=channel), queue, consumer_tag)
        return self._begin(fault, _lasting(times, may_not_fire=may_not_fire))

    def duplicate_deliveries(self, **about: Unpack[About]) -> DuplicateDeliveries:
        """Deliver once more what consumers acknowledge, marked redelivered.

        Args:
            about: of which queue, connection, …; times is 1 if it is not told.
        """
        about.setdefault("times", 1)
        frames = AboutFrames(method="basic.ack", sent_by="client", **about)
        return self._begin(DuplicateDeliveries(Selection.of(frames)), frames)

    def reorder_redeliveries(
        self,
        *,
        queue: str = "*",
        connection: str | None = None,
        channel: int | None = None,
        times: int | None = None,
        seed: int | None = None,
        may_not_fire: bool = False,
    ) -> ReorderRedeliveries:
        """Let messages change places when they return to their queue because their channel or connection ends.

        Args:
            queue: to which queue.
            connection: from which connections.
            channel: from which channels.
            times: how often.
            seed: makes the order repeat.
            may_not_fire: it is no mistake if nothing returns.
        """
        fault = ReorderRedeliveries(Selection(connection=connection, channel=channel), queue)
        return self._begin(fault, _lasting(times, may_not_fire=may_not_fire, seed=seed))

    # --- alarms -----------------------------------------------------------------------------------------------------

    def memory_alarm(self, *, may_not_fire: bool = False) -> MemoryAlarm:
        """Be low on memory: clients are told with their first publish, and not read from until it is over."""
        return self._begin(MemoryAlarm(self._desk.around), _lasting(None, may_not_fire=may_not_fire))

    def disk_alarm(self, *, may_not_fire: bool = False) -> DiskAlarm:
        """Be low on disk: clients are told with their first publish, and not read from until it is over."""
        return self._begin(DiskAlarm(self._desk.around), _lasting(None, may_not_fire=may_not_fire))

    # --- all of them ------------------------------------------------------------------------------------------------

    @property
    def in_force(self) -> Sequence[Fault]:
        """The faults that are in force, the oldest first."""
        return self._runner.run_in_broker(lambda: [fault for fault in self._desk.faults if fault.is_in_force])

    def clear(self) -> None:
        """End all faults, whether they fired or not."""
        self._runner.run_in_broker(self._desk.clear)

    def finish(self) -> None:
        """End all faults, as the broker does when it stops: hold nothing back, and warn of those that never fired."""
        self._runner.run_in_broker(self._desk.close)
        self._desk.complain()

    def _begin(self, fault: F, about: AboutFrames) -> F:
        fault.times = about.get("times")
        fault.may_not_fire = about.get("may_not_fire", False)
        if fault.times is not None and fault.times < 1:
            raise Misuse(f"a fault happens at least once: times={fault.times}")
        self._runner.run_in_broker(lambda: self._desk.begin(fault, self._runner, seed=about.get("seed")))
        return fault


def _publishes(about: About) -> AboutFrames:
    return AboutFrames(method="basic.publish", sent_by="client", **about)


def _methods(method: str, about: AboutMethods) -> AboutFrames:
    return AboutFrames(method=method, **about)


def _lasting(times: int | None, *, may_not_fire: bool, seed: int | None = None) -> AboutFrames:
    about = AboutFrames(may_not_fire=may_not_fire)
    if times is not None:
        about["times"] = times
    if seed is not None:
        about["seed"] = seed
    return about
