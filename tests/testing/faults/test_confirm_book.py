"""The book of publishes keeps the client's numbers and the broker's apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amqpy_broker.testing.faults.confirm_book import Confirm, ConfirmBook


def published(book: ConfirmBook, fates: str) -> None:
    """Publish: `.` passes, `x` is refused, `-` vanishes."""
    for fate in fates:
        number = book.count_publish()
        if fate == ".":
            book.pass_on(number)
        else:
            book.keep_from_broker(number, refused=fate == "x")


def test_numbers_are_the_same_as_long_as_nothing_happens() -> None:
    book = ConfirmBook()
    published(book, "...")
    assert book.confirmed(2, multiple=True) == [1, 2]
    assert book.is_plain


def test_what_follows_a_refused_publish_has_a_smaller_tag_at_the_broker() -> None:
    book = ConfirmBook()
    published(book, ".x.")
    assert not book.is_plain
    assert book.confirmed(2, multiple=False) == [3]


def test_multiple_covers_what_was_refused_before_for_the_client_was_told() -> None:
    book = ConfirmBook()
    published(book, ".x.")
    assert book.tell(book.confirmed(2, multiple=True)) == [Confirm(3, True)]


def test_multiple_does_not_cover_what_is_withheld() -> None:
    book = ConfirmBook()
    published(book, "....")
    book.withhold(2)
    assert book.tell([1, 3, 4]) == [Confirm(1, False), Confirm(3, False), Confirm(4, False)]


def test_multiple_does_not_cover_what_vanished() -> None:
    book = ConfirmBook()
    published(book, "..-..")
    assert book.tell(book.confirmed(4, multiple=True)) == [Confirm(2, True), Confirm(4, False), Confirm(5, False)]


def test_what_was_withheld_can_be_told_later_and_then_all_is_plain_again() -> None:
    book = ConfirmBook()
    published(book, "..")
    book.withhold(1)
    assert book.tell([2]) == [Confirm(2, False)]
    assert book.tell([1]) == [Confirm(1, False)]
    assert book.is_plain


def test_a_book_that_begins_in_the_middle_knows_what_is_not_confirmed() -> None:
    book = ConfirmBook(published=5, confirmed=3)
    assert book.confirmed(5, multiple=True) == [4, 5]
    assert book.count_publish() == 6


@given(st.lists(st.tuples(st.sampled_from(".x-l"), st.integers(0, 3))))
def test_each_publish_is_told_of_once_unless_it_must_not_be(steps: list[tuple[str, int]]) -> None:
    """The broker confirms every so often, with `multiple`, all that it has."""
    book = ConfirmBook()
    told: set[int] = set()
    outstanding: set[int] = set()
    mute: set[int] = set()
    arrived = 0

    def confirm() -> None:
        numbers = book.confirmed(arrived, multiple=True)
        tellable = [number for number in numbers if number not in mute]
        for number in set(numbers) - set(tellable):
            book.withhold(number)
        for number, multiple in book.tell(tellable):
            meant = {other for other in outstanding if other <= number} if multiple else {number}
            assert not meant & mute
            assert not meant & told
            told.update(meant)
            outstanding.difference_update(meant)

    for fate, pause in steps:
        number = book.count_publish()
        if fate == "x":
            book.keep_from_broker(number, refused=True)
        else:
            outstanding.add(number)
            if fate == "-":
                book.keep_from_broker(number, refused=False)
                mute.add(number)
            else:
                book.pass_on(number)
                arrived += 1
                if fate == "l":
                    mute.add(number)
        if not pause:
            confirm()
    confirm()
    assert outstanding == mute
