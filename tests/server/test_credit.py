"""Credit: clients that flood share the time of a turn, and everybody else reads as before."""

import pytest

from amqpy_broker.server.credit import LARGEST_READ_BYTES, SMALLEST_READ_BYTES, TURN_S, ClientCredit, Credit
from tests.fakes import ManualClock


class Flooder:
    """A client that always has more to say, and that needs so long for each octet."""

    def __init__(self, credit: Credit, clock: ManualClock, s_per_octet: float) -> None:
        self.credit = ClientCredit(credit)
        self._clock = clock
        self._s_per_octet = s_per_octet

    def read(self, most: int = LARGEST_READ_BYTES) -> float:
        """Be read from once; return how long that took."""
        size = min(self.credit.read_size_bytes, most)
        took_s = size * self._s_per_octet
        self.credit.begin()
        self._clock.now_s += took_s
        self.credit.end(size)
        return took_s


def some(count: int, s_per_octet: float) -> tuple[Credit, list[Flooder]]:
    clock = ManualClock()
    credit = Credit(clock)
    return credit, [Flooder(credit, clock, s_per_octet) for _ in range(count)]


def turn(flooders: list[Flooder]) -> float:
    return sum(flooder.read() for flooder in flooders)


def flood_for_a_while(flooders: list[Flooder]) -> None:
    for _ in range(10):
        turn(flooders)


@pytest.mark.parametrize("count", [2, 8, 40])
def test_a_turn_takes_its_time_however_many_flood(count: int) -> None:
    _, flooders = some(count, TURN_S / LARGEST_READ_BYTES / 2)

    flood_for_a_while(flooders)

    assert TURN_S * 0.9 <= turn(flooders) <= TURN_S * 1.01


def test_those_who_begin_all_at_once_read_little_until_it_is_known_how_long_it_takes() -> None:
    _, flooders = some(1000, TURN_S / LARGEST_READ_BYTES)

    assert turn(flooders) == pytest.approx(1000 * TURN_S * SMALLEST_READ_BYTES / LARGEST_READ_BYTES)


def test_one_that_floods_reads_as_much_as_fits_into_a_turn() -> None:
    _, (fast,) = some(1, TURN_S / LARGEST_READ_BYTES / 2)
    _, (slow,) = some(1, TURN_S / LARGEST_READ_BYTES * 4)

    flood_for_a_while([fast])
    flood_for_a_while([slow])

    assert fast.credit.read_size_bytes == LARGEST_READ_BYTES
    assert slow.credit.read_size_bytes == pytest.approx(LARGEST_READ_BYTES / 4, rel=0.01)


def test_who_says_little_does_not_take_from_others() -> None:
    credit, (flooder, *quiet) = some(50, TURN_S / LARGEST_READ_BYTES)
    for client in (flooder, *quiet):
        client.read(100)

    assert credit.share_s == TURN_S


def test_a_share_grows_again_when_others_have_gone() -> None:
    credit, flooders = some(8, TURN_S / LARGEST_READ_BYTES)
    for _ in range(4):
        turn(flooders)
    (left, *others) = flooders
    assert left.credit.read_size_bytes < LARGEST_READ_BYTES / 4

    for other in others:
        other.credit.rest()
    for _ in range(8):
        left.read()

    assert credit.share_s == TURN_S
    assert left.credit.read_size_bytes > LARGEST_READ_BYTES / 2


def test_no_share_is_so_small_that_nothing_goes_on() -> None:
    _, flooders = some(1000, 1.0)
    for _ in range(3):
        turn(flooders)

    assert all(flooder.credit.read_size_bytes == SMALLEST_READ_BYTES for flooder in flooders)


def test_a_small_read_that_took_long_does_not_make_the_next_ones_tiny() -> None:
    _, (client,) = some(1, 1.0)

    client.read(20)

    assert client.credit.read_size_bytes == SMALLEST_READ_BYTES
