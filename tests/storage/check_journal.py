"""What every engine has to do. A new one subclasses `JournalContract` with a fixture `rig`: see test_journals.py."""

import pytest

from amqpy_broker.core.journal import Batch, Mark, Name, Page
from tests.fakes import FakeMessage
from tests.storage.rigs import Rig, part


class JournalContract:
    """The claims."""

    # --- messages ---------------------------------------------------------------------------------------------------

    def test_a_new_journal_holds_nothing(self, rig: Rig) -> None:
        assert rig.recovered.documents == {}
        assert rig.pages == []
        assert rig.recovered.next_batch == 1
        assert rig.recovered.closed_cleanly

    def test_messages_can_be_read_once_their_batch_is_synced(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: part(3, "a", "b", "c")}))

        assert rig.bodies(1, 7) == ["a", "b", "c"]
        assert [stored.place for stored in rig.stored(1, 7)] == [3, 4, 5]

    def test_messages_survive_a_restart_with_their_order(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: part(3, "a", "b"), 8: part(1, "x")}))
        rig.write(Batch(2, parts={7: part(5, "c")}))
        rig.restart()

        assert rig.everything() == {Name(1, 7, 3): "a", Name(1, 7, 4): "b", Name(1, 8, 1): "x", Name(2, 7, 5): "c"}
        assert [(page.batch, page.first) for page in rig.pages if page.queue == 7] == [(1, 3), (2, 5)]

    def test_a_page_tells_what_is_there_without_its_being_read(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: part(3, "a", "bb", "ccc"), 8: part(1, "x")}))
        rig.restart()

        assert sorted(rig.pages, key=lambda page: page.queue) == [Page(1, 7, 3, 5, 3, 6), Page(1, 8, 1, 1, 1, 1)]

    def test_a_page_does_not_count_what_is_settled(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: part(3, "a", "bb", "ccc", "dddd")}))
        rig.write(Batch(2, settled=[Name(1, 7, 3), Name(1, 7, 5)]))
        rig.restart()

        assert rig.pages == [Page(1, 7, 4, 6, 2, 6)]

    def test_a_part_of_a_page_can_be_read(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: part(3, "a", "b", "c", "d")}))

        assert rig.bodies(1, 7, 4, 5) == ["b", "c"]
        assert rig.bodies(1, 7, 6, 99) == ["d"]
        assert rig.bodies(1, 7, 7, 99) == []

    def test_places_may_have_gaps_and_be_far_apart(self, rig: Rig) -> None:
        places = (2, 3, 5, 4_000_000_000, 1 << 40)
        rig.write(Batch(1, parts={7: {place: FakeMessage(str(place)) for place in places}}))
        rig.write(Batch(2, settled=[Name(1, 7, 5)]))
        rig.restart()

        assert rig.bodies(1, 7) == ["2", "3", "4000000000", str(1 << 40)]

    def test_a_body_may_be_empty(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: part(1, "", "x", "")}))
        rig.restart()

        assert rig.bodies(1, 7) == ["", "x", ""]
        assert rig.pages == [Page(1, 7, 1, 3, 3, 1)]

    def test_a_batch_may_be_large(self, rig: Rig) -> None:
        bodies = [f"{number}:" + "x" * (number % 700) for number in range(3000)]
        rig.write(Batch(1, parts={7: part(1, *bodies), 8: part(1, *bodies[:100])}))
        rig.write(Batch(2, settled_ranges=[(Name(1, 7, 1), 1000)], settled=[Name(1, 7, 2000)]))
        rig.restart()

        assert rig.bodies(1, 7) == bodies[1000:1999] + bodies[2000:]
        assert rig.bodies(1, 7, 2500, 2502) == bodies[2499:2502]
        assert [page.count for page in rig.pages if page.queue == 7] == [1999]

    def test_a_message_is_in_each_of_its_queues_until_it_is_settled_there(self, rig: Rig) -> None:
        shared = FakeMessage("shared")
        rig.write(Batch(1, parts={7: {1: shared}, 8: {4: FakeMessage("own"), 5: shared}, 9: {2: shared}}))
        rig.write(Batch(2, settled=[Name(1, 7, 1)]))
        rig.restart()

        assert rig.everything() == {Name(1, 8, 4): "own", Name(1, 8, 5): "shared", Name(1, 9, 2): "shared"}

    def test_messages_may_be_in_another_order_in_another_queue(self, rig: Rig) -> None:
        a, b, c = (FakeMessage(body) for body in "abc")
        rig.write(Batch(1, parts={7: {1: a, 2: b, 3: c}, 8: {1: c, 2: a, 3: b}}))
        rig.restart()

        assert rig.bodies(1, 7) == ["a", "b", "c"]
        assert rig.bodies(1, 8) == ["c", "a", "b"]

    # --- settling ---------------------------------------------------------------------------------------------------

    def test_what_is_settled_is_gone(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: part(1, "a", "b", "c")}))
        rig.write(Batch(2, settled=[Name(1, 7, 2)]))

        assert rig.bodies(1, 7) == ["a", "c"]
        rig.restart()
        assert rig.bodies(1, 7) == ["a", "c"]

    def test_a_range_is_settled_with_both_its_ends(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: part(1, "a", "b", "c", "d"), 8: part(1, "x", "y")}))
        rig.write(Batch(2, settled_ranges=[(Name(1, 7, 2), 3)]))
        rig.restart()

        assert rig.bodies(1, 7) == ["a", "d"]
        assert rig.bodies(1, 8) == ["x", "y"]

    def test_a_range_may_cover_what_is_gone_and_what_never_was(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: {1: FakeMessage("a"), 5: FakeMessage("b"), 6: FakeMessage("c")}}))
        rig.write(Batch(2, settled=[Name(1, 7, 1)]))
        rig.write(Batch(3, settled_ranges=[(Name(1, 7, 1), 5)]))
        rig.restart()

        assert rig.bodies(1, 7) == ["c"]

    def test_what_is_settled_entirely_has_no_page(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: part(1, "a", "b"), 8: part(1, "x")}))
        rig.write(Batch(2, settled_ranges=[(Name(1, 7, 1), 2)], settled=[Name(1, 8, 1)]))
        rig.restart()

        assert rig.pages == []

    def test_a_dropped_queue_is_gone_and_others_stay(self, rig: Rig) -> None:
        shared = FakeMessage("shared")
        rig.write(Batch(1, parts={7: {1: shared}, 8: {1: shared}}))
        rig.write(Batch(2, parts={7: part(2, "b")}))
        rig.write(Batch(3, parts={9: part(1, "z")}, dropped_queues=[7]))
        rig.restart()

        assert rig.everything() == {Name(1, 8, 1): "shared", Name(3, 9, 1): "z"}

    # --- what happened to a message ---------------------------------------------------------------------------------

    def test_expiries_are_read_back(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: part(1, "a", "b"), 8: part(2, "x")}, expiries={(7, 2): 5_000, (8, 2): 1 << 41}))
        rig.restart()

        assert [stored.expires_at_unix_ms for stored in rig.stored(1, 7)] == [None, 5_000]
        assert [stored.expires_at_unix_ms for stored in rig.stored(1, 8)] == [1 << 41]
        assert all(page.special for page in rig.pages)

    def test_a_page_is_special_only_while_what_makes_it_so_is_there(self, rig: Rig) -> None:
        rig.write(
            Batch(1, parts={7: part(1, "a", "b"), 8: part(1, "x", "y")}, expiries={(7, 1): 9}),
        )
        rig.write(Batch(2, marks={Name(1, 8, 2): Mark(1, 0)}))
        rig.restart()
        assert [page.special for page in rig.pages] == [True, True]
        rig.write(Batch(rig.recovered.next_batch, settled=[Name(1, 7, 1), Name(1, 8, 2)]))
        rig.restart()
        assert [page.special for page in rig.pages] == [False, False]

    def test_the_last_mark_counts(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: part(1, "a", "b", "c")}))
        rig.write(Batch(2, marks={Name(1, 7, 1): Mark(1, 1), Name(1, 7, 3): Mark(5, 4)}))
        rig.write(Batch(3, marks={Name(1, 7, 1): Mark(2, 1)}))

        assert [stored.mark for stored in rig.stored(1, 7)] == [Mark(2, 1), None, Mark(5, 4)]
        rig.restart()
        assert [stored.mark for stored in rig.stored(1, 7)] == [Mark(2, 1), None, Mark(5, 4)]

    def test_a_message_may_be_marked_in_its_own_batch(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: part(1, "a", "b")}, marks={Name(1, 7, 2): Mark(3, 2)}))
        rig.restart()

        assert [stored.mark for stored in rig.stored(1, 7)] == [None, Mark(3, 2)]

    def test_marks_and_settling_do_not_disturb_each_other(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: part(1, "a", "b", "c")}))
        rig.write(Batch(2, marks={Name(1, 7, 3): Mark(1, 1)}, settled=[Name(1, 7, 1)]))
        rig.write(Batch(3, settled=[Name(1, 7, 2)]))
        rig.restart()

        assert [(stored.place, stored.mark) for stored in rig.stored(1, 7)] == [(3, Mark(1, 1))]

    # --- spilled messages -------------------------------------------------------------------------------------------

    def test_spilled_messages_can_be_read_and_are_gone_at_the_next_start(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: part(1, "a")}, spilled={7: part(2, "b", "c"), 8: part(1, "x")}))

        assert rig.bodies(1, 7) == ["a", "b", "c"]
        assert rig.bodies(1, 8) == ["x"]
        rig.restart()
        assert rig.everything() == {Name(1, 7, 1): "a"}
        assert rig.bodies(1, 8) == []

    def test_spilled_messages_are_settled_like_others(self, rig: Rig) -> None:
        rig.write(Batch(1, spilled={7: part(1, "a", "b", "c"), 8: part(1, "x")}, expiries={(7, 3): 8}))
        rig.write(Batch(2, settled=[Name(1, 7, 1)], marks={Name(1, 7, 3): Mark(1, 0)}, dropped_queues=[8]))

        assert rig.bodies(1, 7) == ["b", "c"]
        assert rig.stored(1, 7)[1][2:] == (8, Mark(1, 0))
        assert rig.bodies(1, 8) == []

    # --- documents --------------------------------------------------------------------------------------------------

    def test_documents_are_created_replaced_and_deleted(self, rig: Rig) -> None:
        rig.write(Batch(1, documents={"a": b"1", "b": b"2", "c": b""}))
        rig.write(Batch(2, documents={"a": b"3", "b": None, "never": None}))
        rig.restart()

        assert rig.recovered.documents == {"a": b"3", "c": b""}

    @pytest.mark.parametrize("key", ["", "käse", "a\0b", "\udcff\udc80", "x" * 2000])
    def test_a_document_may_have_any_key(self, rig: Rig, key: str) -> None:
        rig.write(Batch(1, documents={key: b"\0\xff"}))
        rig.restart()

        assert rig.recovered.documents == {key: b"\0\xff"}

    # --- starting and stopping --------------------------------------------------------------------------------------

    def test_after_a_crash_everything_is_there_that_was_synced(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: part(1, "a", "b")}, documents={"d": b"1"}))
        rig.write(Batch(2, settled=[Name(1, 7, 1)], parts={7: part(3, "c")}))
        rig.crash()

        assert rig.everything() == {Name(1, 7, 2): "b", Name(2, 7, 3): "c"}
        assert rig.recovered.documents == {"d": b"1"}
        assert not rig.recovered.closed_cleanly

    def test_who_closes_it_leaves_it_closed_cleanly(self, rig: Rig) -> None:
        rig.write(Batch(1, documents={"d": b"1"}))
        rig.crash()
        rig.write(Batch(rig.recovered.next_batch, documents={"d": b"2"}))
        rig.restart()

        assert rig.recovered.closed_cleanly

    def test_what_was_appended_before_closing_is_durable(self, rig: Rig) -> None:
        rig.journal.append(Batch(1, parts={7: part(1, "a")}))
        rig.journal.append(Batch(2, parts={7: part(2, "b")}))
        rig.restart()

        assert rig.everything() == {Name(1, 7, 1): "a", Name(2, 7, 2): "b"}

    @pytest.mark.parametrize("crashes", [True, False])
    def test_no_number_is_given_twice(self, rig: Rig, *, crashes: bool) -> None:
        rig.write(Batch(1, parts={7: part(1, "a")}))
        rig.write(Batch(40, settled=[Name(1, 7, 1)]))
        rig.write(Batch(41, documents={"d": b""}))
        if crashes:
            rig.crash()
        else:
            rig.restart()

        assert rig.recovered.next_batch > 41

    def test_work_goes_on_after_a_restart(self, rig: Rig) -> None:
        rig.write(Batch(1, parts={7: part(1, "a", "b", "c")}))
        rig.restart()
        number = rig.recovered.next_batch
        rig.write(Batch(number, settled=[Name(1, 7, 2)], marks={Name(1, 7, 3): Mark(1, 0)}, parts={7: part(4, "d")}))
        rig.restart()
        assert rig.everything() == {Name(1, 7, 1): "a", Name(1, 7, 3): "c", Name(number, 7, 4): "d"}
        rig.write(Batch(rig.recovered.next_batch, dropped_queues=[7]))
        rig.restart()
        assert rig.pages == []
