"""Settings of mirrored queues, which 3.x had: they are checked as it did, and do nothing here.

See https://www.rabbitmq.com/docs/3.13/ha.
"""

from collections.abc import Mapping
from typing import Final

from amqpy_broker.core.policy_terms import shown

_MODE: Final = "ha-mode"
_PROMOTIONS: Final = ("ha-promote-on-shutdown", "ha-promote-on-failure")
MIRRORING: Final = (_MODE, "ha-params", "ha-sync-mode", "ha-sync-batch-size", *_PROMOTIONS)


def complaint_about_mirroring(definition: Mapping[str, object]) -> str | None:
    """Say what is wrong with the settings that mirror queues, in RabbitMQ's words; None if nothing is."""
    if not any(key in definition for key in MIRRORING):
        return None
    if _MODE not in definition:
        return "ha-mode must be specified to specify ha-params, ha-sync-mode or ha-promote-on-shutdown"
    return _about_mode(definition) or _about_synchronisation(definition) or _about_promotion(definition)


def _about_mode(definition: Mapping[str, object]) -> str | None:
    mode = definition[_MODE]
    given = "ha-params" in definition
    parameters = definition.get("ha-params")
    told = shown(parameters) if given else "none"
    if mode == "all":
        return 'ha-mode="all" does not take parameters' if given else None
    if mode == "exactly":
        return None if _is_positive(parameters) else f'ha-mode="exactly" takes an integer, {told} given'
    if mode == "nodes":
        return _about_nodes(parameters, told)
    return f"{shown(mode)} is not a valid ha-mode value"


def _about_nodes(nodes: object, told: str) -> str | None:
    if not isinstance(nodes, list):
        return f'ha-mode="nodes" takes a list, {told} given'
    if not nodes:
        return 'ha-mode="nodes" list must be non-empty'
    strange = [node for node in nodes if not isinstance(node, str)]
    return f'ha-mode="nodes" takes a list of strings, {shown(strange)} was not a string' if strange else None


def _about_synchronisation(definition: Mapping[str, object]) -> str | None:
    mode = definition.get("ha-sync-mode", "manual")
    if mode not in ("automatic", "manual"):
        return f'ha-sync-mode must be "manual" or "automatic", got {shown(mode)}'
    size = definition.get("ha-sync-batch-size", 1)
    return None if _is_positive(size) else f"ha-sync-batch-size takes an integer greater than 0, {shown(size)} given"


def _about_promotion(definition: Mapping[str, object]) -> str | None:
    for key in _PROMOTIONS:
        when = definition.get(key, "always")
        if when not in ("always", "when-synced"):
            return f'{key} must be "always" or "when-synced", got {shown(when)}'
    return None


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
