"""Alarms: causes come and go, publishers wait from the first to the last of them."""

from amqpy_broker.core.alarms import Alarms, Resource


def watched() -> tuple[Alarms, list[bool]]:
    alarms, changes = Alarms(), list[bool]()
    alarms.on_change = changes.append
    return alarms, changes


def test_publishers_wait_from_the_first_cause_to_the_end_of_the_last() -> None:
    alarms, changes = watched()

    alarms.set(Resource.MEMORY, "messages", raised=True)
    alarms.set(Resource.DISK, "free space", raised=True)
    alarms.set(Resource.MEMORY, "messages", raised=False)
    assert (alarms.raised, changes) == (True, [True])
    alarms.set(Resource.DISK, "free space", raised=False)

    assert (alarms.raised, changes) == (False, [True, False])


def test_a_resource_is_short_as_long_as_it_has_a_cause() -> None:
    alarms, changes = watched()

    alarms.set(Resource.DISK, "free space", raised=True)
    alarms.set(Resource.DISK, "journal", raised=True)
    alarms.set(Resource.DISK, "free space", raised=False)

    assert (alarms.resources, changes) == ((Resource.DISK,), [True])


def test_saying_the_same_twice_changes_nothing() -> None:
    alarms, changes = watched()

    alarms.set(Resource.DISK, "journal", raised=False)
    for raised in (True, True, False, False):
        alarms.set(Resource.DISK, "journal", raised=raised)

    assert changes == [True, False]


def test_the_reason_names_what_is_short_in_rabbitmqs_order() -> None:
    alarms, _ = watched()
    alarms.set(Resource.MEMORY, "messages", raised=True)
    assert alarms.reason == "low on memory"

    alarms.set(Resource.DISK, "free space", raised=True)

    assert alarms.reason == "low on disk & memory"
