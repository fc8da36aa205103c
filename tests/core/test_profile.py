"""Version profiles."""

import pytest

from amqpy_broker.core.profile import DEFAULT_PROFILE, PROFILES, profile_named


@pytest.mark.parametrize(("name", "version"), [("3.10", "3.10.8"), ("4.0", "4.0.5")])
def test_a_profile_is_the_version_that_it_was_checked_against(name: str, version: str) -> None:
    assert profile_named(name).name == name
    assert profile_named(name).version == version


def test_the_default_is_4_0() -> None:
    assert DEFAULT_PROFILE == "4.0"
    assert DEFAULT_PROFILE in PROFILES


def test_an_unknown_profile_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"^unknown profile '5\.0': there are 3\.10, 4\.0, 4\.1, 4\.2, 4\.3$"):
        profile_named("5.0")


@pytest.mark.parametrize(("name", "expected"), [("3.10", 134_217_728), ("4.0", 16_777_216)])
def test_the_largest_message_is_the_versions_default(name: str, expected: int) -> None:
    assert profile_named(name).message_size_max == expected
