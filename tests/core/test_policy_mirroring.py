"""Settings of mirrored queues: what RabbitMQ 3.x says about them."""

from __future__ import annotations

import pytest

from amqpy_broker.core.policy_mirroring import complaint_about_mirroring


@pytest.mark.parametrize(
    "definition",
    [
        {},
        {"max-length": 5},
        {"ha-mode": "all"},
        {"ha-mode": "exactly", "ha-params": 2},
        {"ha-mode": "nodes", "ha-params": ["a", "b"]},
        {"ha-mode": "all", "ha-sync-mode": "automatic", "ha-sync-batch-size": 1},
        {"ha-mode": "all", "ha-promote-on-shutdown": "always", "ha-promote-on-failure": "when-synced"},
    ],
)
def test_settings_that_fit_together_are_taken(definition: dict[str, object]) -> None:
    assert complaint_about_mirroring(definition) is None


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        (
            {"ha-sync-mode": "x"},
            "ha-mode must be specified to specify ha-params, ha-sync-mode or ha-promote-on-shutdown",
        ),
        ({"ha-mode": "x"}, '<<"x">> is not a valid ha-mode value'),
        ({"ha-mode": "all", "ha-params": 1}, 'ha-mode="all" does not take parameters'),
        ({"ha-mode": "exactly"}, 'ha-mode="exactly" takes an integer, none given'),
        ({"ha-mode": "exactly", "ha-params": True}, 'ha-mode="exactly" takes an integer, true given'),
        ({"ha-mode": "nodes"}, 'ha-mode="nodes" takes a list, none given'),
        ({"ha-mode": "nodes", "ha-params": []}, 'ha-mode="nodes" list must be non-empty'),
        (
            {"ha-mode": "nodes", "ha-params": ["a", "b", None]},
            'ha-mode="nodes" takes a list of strings, [null] was not a string',
        ),
        ({"ha-mode": "all", "ha-sync-mode": 1}, 'ha-sync-mode must be "manual" or "automatic", got 1'),
        (
            {"ha-mode": "all", "ha-sync-batch-size": 0},
            "ha-sync-batch-size takes an integer greater than 0, 0 given",
        ),
        (
            {"ha-mode": "all", "ha-promote-on-failure": "x"},
            'ha-promote-on-failure must be "always" or "when-synced", got <<"x">>',
        ),
    ],
)
def test_what_does_not_fit_is_told_in_rabbitmqs_words(definition: dict[str, object], text: str) -> None:
    assert complaint_about_mirroring(definition) == text
