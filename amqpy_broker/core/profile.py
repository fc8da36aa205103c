"""Version profiles: what differs between the RabbitMQ versions that the broker can stand in for."""

from dataclasses import dataclass
from typing import Final

_MIB: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class Profile:
    """One RabbitMQ version's behaviour, where versions differ. Clients read `version` and adapt to it."""

    name: str
    version: str
    erlang: str
    copyright: str
    mechanisms: tuple[str, ...]
    frame_size_min: int
    message_size_max: int
    # AMQP 1.0's SASL header, or our own, is the answer to a protocol header we do not speak.
    answers_bad_header_with_sasl: bool
    # 3.x closes the socket without a word where 4.x explains what it did not like about tune-ok.
    explains_bad_tuning: bool
    # 3.x treats an unknown exchange type as a connection-level COMMAND_INVALID.
    unknown_exchange_type_closes_connection: bool
    # 4.x writes x-queue-type into the stored arguments of every queue.
    stores_queue_type: bool
    # 4.x compares numbers of different wire types as different in a headers exchange.
    headers_match_numbers_by_type: bool
    # 3.x refuses delivery modes other than 1 and 2.
    refuses_odd_delivery_modes: bool
    # 4.x refuses a commit of which some publishes went to queues deleted since.
    refuses_partial_tx: bool


_3_10: Final = Profile(
    name="3.10",
    version="3.10.8",
    erlang="25.2.3",
    copyright="Copyright (c) 2007-2022 VMware, Inc. or its affiliates.",
    mechanisms=("AMQPLAIN", "PLAIN"),
    frame_size_min=4096,
    message_size_max=128 * _MIB,
    answers_bad_header_with_sasl=False,
    explains_bad_tuning=False,
    unknown_exchange_type_closes_connection=True,
    stores_queue_type=False,
    headers_match_numbers_by_type=False,
    refuses_odd_delivery_modes=True,
    refuses_partial_tx=False,
)

_4_0: Final = Profile(
    name="4.0",
    version="4.0.5",
    erlang="27.3.4",
    copyright="Copyright (c) 2007-2024 Broadcom Inc and/or its subsidiaries",
    mechanisms=("ANONYMOUS", "AMQPLAIN", "PLAIN"),
    frame_size_min=4096,
    message_size_max=16 * _MIB,
    answers_bad_header_with_sasl=True,
    explains_bad_tuning=True,
    unknown_exchange_type_closes_connection=False,
    stores_queue_type=True,
    headers_match_numbers_by_type=True,
    refuses_odd_delivery_modes=False,
    refuses_partial_tx=True,
)

PROFILES: Final = {profile.name: profile for profile in (_3_10, _4_0)}
DEFAULT_PROFILE: Final = "4.0"


def profile_named(name: str) -> Profile:
    """Find a profile.

    Raises:
        ValueError: there is no such profile; the text names those there are.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise ValueError(f"unknown profile '{name}': there are {', '.join(PROFILES)}") from None
