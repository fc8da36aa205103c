"""The disk alarm: when it is raised, when it ends, and how often the disk is looked at."""

import pytest

from amqpy_broker.core.alarms import Alarms, Resource
from amqpy_broker.core.disk import Disk
from amqpy_broker.core.limits import DISK_CHECK_INTERVAL_MAX_S, DISK_CHECK_INTERVAL_MIN_S, DISK_RELEASE_SHARE

LIMIT = 100_000_000


class FakeDisk:
    """A disk with so much room; None if nobody can tell."""

    def __init__(self, free_bytes: int | None) -> None:
        self.free_bytes = free_bytes

    def __call__(self) -> int:
        if self.free_bytes is None:
            raise OSError
        return self.free_bytes


def test_the_alarm_is_raised_below_the_limit_not_at_it() -> None:
    alarms, free = Alarms(), FakeDisk(LIMIT)
    disk = Disk(alarms, free, LIMIT)

    disk.measure()
    assert not alarms.raised
    free.free_bytes = LIMIT - 1
    disk.measure()

    assert alarms.resources == (Resource.DISK,)


def test_the_alarm_ends_when_there_is_clearly_more_than_the_limit() -> None:
    alarms, free = Alarms(), FakeDisk(0)
    disk = Disk(alarms, free, LIMIT)
    disk.measure()

    free.free_bytes = LIMIT
    disk.measure()
    assert alarms.raised
    free.free_bytes = int(LIMIT * DISK_RELEASE_SHARE)
    disk.measure()

    assert not alarms.raised


def test_a_disk_that_cannot_be_looked_at_changes_nothing() -> None:
    alarms, free = Alarms(), FakeDisk(0)
    disk = Disk(alarms, free, LIMIT)
    disk.measure()

    free.free_bytes = None
    disk.measure()

    assert alarms.raised
    assert disk.free_bytes is None


@pytest.mark.parametrize(
    ("free_bytes", "interval_s"),
    [
        (LIMIT, DISK_CHECK_INTERVAL_MIN_S),
        (LIMIT + 250_000_000, 0.5),
        (LIMIT - 50_000_000, 0.1),
        (10**12, DISK_CHECK_INTERVAL_MAX_S),
    ],
)
def test_the_disk_is_looked_at_the_sooner_the_nearer_the_limit_is(free_bytes: int, interval_s: float) -> None:
    assert Disk(Alarms(), FakeDisk(free_bytes), LIMIT).measure() == pytest.approx(interval_s)
