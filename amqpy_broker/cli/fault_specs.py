"""Faults as they are said on the command line: `delay:method=queue.declare,seconds=2`."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import click

from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.faults.faults import Faults

# What a proxy can do by itself; the others need a broker's insides.
FAULTS: Final = (
    "close_channel",
    "close_connection",
    "corrupt_frames",
    "delay",
    "delay_confirms",
    "drop_connection",
    "duplicate_deliveries",
    "lose_confirms",
    "nack_publishes",
    "refuse_connections",
    "refuse_login",
    "slow_socket",
    "swallow",
)
_NUMBERS: Final[Mapping[str, type[int] | type[float]]] = {
    "bits": int,
    "bytes_per_second": float,
    "channel": int,
    "code": int,
    "probability": float,
    "seconds": float,
    "seed": int,
    "times": int,
}


class FaultSpec(NamedTuple):
    """A fault, and what it is about."""

    name: str
    about: Mapping[str, str | int | float]

    def begin(self, faults: Faults) -> None:
        """Put it in force.

        Raises:
            BadParameter: it takes no such thing.
        """
        fault = getattr(faults, self.name)
        try:
            fault(**self.about, may_not_fire=True)
        except (TypeError, ValueError, Misuse) as refusal:
            raise click.BadParameter(f"{self.name}: {refusal}") from None


def read_faults(_context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[FaultSpec, ...]:
    """Read what was said: `NAME` or `NAME:KEY=VALUE,KEY=VALUE`, any number of times."""
    return tuple(_read_fault(text) for text in texts)


def _read_fault(text: str) -> FaultSpec:
    name, _, rest = text.partition(":")
    name = name.replace("-", "_")
    if name not in FAULTS:
        raise click.BadParameter(f"no fault {name!r}: there are {', '.join(FAULTS)}")
    return FaultSpec(name, dict(_read_pair(pair) for pair in rest.split(",") if pair))


def _read_pair(pair: str) -> tuple[str, str | int | float]:
    key, equals, text = pair.partition("=")
    if not equals:
        raise click.BadParameter(f"{pair!r} is not KEY=VALUE")
    try:
        return key, _NUMBERS.get(key, str)(text)
    except ValueError:
        raise click.BadParameter(f"{key} has to be a number, not {text!r}") from None
