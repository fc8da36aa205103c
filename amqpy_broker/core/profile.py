"""Version profiles: what differs between the RabbitMQ versions that the broker can stand in for."""

from dataclasses import dataclass, replace
from typing import Final

_MIB: Final = 1_048_576
_BROADCOM: Final = "Copyright (c) 2007-2025 Broadcom Inc and/or its subsidiaries"


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
    # 3.x treats an unknown exchange type as a connection-level COMMAND_INVALID.
    unknown_exchange_type_closes_connection: bool
    # 4.x writes x-queue-type into the stored arguments of every queue.
    stores_queue_type: bool
    # 4.x compares numbers of different wire types as different in a headers exchange.
    headers_match_numbers_by_type: bool
    # 3.x refuses delivery modes other than 1 and 2.
    refuses_odd_delivery_modes: bool
    # What is published in a transaction is routed at once, to names of queues. 3.x looks for the queues of these names
    # at the commit; 4.x looks at once, and refuses the commit when one has gone since.
    finds_tx_queues_at_commit: bool
    # How often a message may come back to a quorum queue that says nothing of it; None is any number of times.
    quorum_delivery_limit: int | None
    # 3.x tells of the first delivery from a quorum queue that it came back 0 times.
    tells_first_quorum_delivery: bool
    # Mirrored queues, and what consumers could say about them, went with 4.0.
    knows_mirrored_queues: bool
    # 3.x goes on with the x-death that a client sent, and turns the order of what it tells round with each death. 4.x
    # believes only what it wrote itself, and tells of the last death, too.
    tells_deaths_as_3_x: bool
    # 4.x takes text that is not ASCII for text when it prints a client's value.
    prints_unicode: bool
    # 3.x crashes where an exchange is bound that cannot route a recent history, 4.x says so.
    dies_of_unroutable_history: bool
    # 3.x hashes a header's type with its value.
    hashes_header_types: bool
    # The largest weight of a binding to a consistent hash exchange; None is no limit.
    hash_weight_max: int | None
    # Exchange types that came later.
    missing_exchange_types: frozenset[str]
    # 4.3 has no queues that are neither durable nor exclusive, and no prefetch count for a whole channel.
    denies_transient_queues: bool
    denies_global_prefetch: bool
    # 4.3 reclaims what was delivered and not acknowledged in time from quorum queues only, and tells the client with
    # basic.cancel if it understands that; before, any consumer's channel is closed.
    consumer_timeout_is_for_quorum_queues: bool
    # Only 4.3 asks for a permission, any one, to look whether a queue or an exchange is there.
    passive_declare_needs_any_permission: bool
    # 4.3 refuses topic binding keys with more of the wildcard `#`; None is no limit.
    topic_hash_max: int | None
    # The values of x-queue-version: 4.3 knows no version 1 any more.
    queue_versions: tuple[int, ...]
    # Levels of priority that a quorum queue keeps apart by itself; 1 is none.
    quorum_priority_levels: int
    # From 4.2 on a name that direct replies are sent to is a queue, if a volatile one: a reply counts as routed, and
    # takes a delivery tag; to bind the name is forbidden rather than impossible.
    reply_to_is_a_queue: bool
    # 3.x looks at the user-id of a message before its expiration and its CC, 4.x after them.
    checks_user_id_first: bool
    # 4.3 counts failures with a quorum queue's message apart from its returns.
    counts_acquired: bool
    # What policies may be for; 3.10 does not tell types of queues apart.
    policy_targets: tuple[str, ...]
    # To 3.x a policy says when a quorum queue expires, even if the queue asked for less.
    policy_expires_quorum_queues: bool
    # Protocol headers that are taken for AMQP 0-9-1.
    protocol_headers: tuple[bytes, ...]


_3_10: Final = Profile(
    name="3.10",
    version="3.10.8",
    erlang="25.2.3",
    copyright="Copyright (c) 2007-2022 VMware, Inc. or its affiliates.",
    mechanisms=("AMQPLAIN", "PLAIN"),
    frame_size_min=4096,
    message_size_max=128 * _MIB,
    answers_bad_header_with_sasl=False,
    unknown_exchange_type_closes_connection=True,
    stores_queue_type=False,
    headers_match_numbers_by_type=False,
    refuses_odd_delivery_modes=True,
    finds_tx_queues_at_commit=True,
    denies_transient_queues=False,
    counts_acquired=False,
    denies_global_prefetch=False,
    consumer_timeout_is_for_quorum_queues=False,
    passive_declare_needs_any_permission=False,
    topic_hash_max=None,
    queue_versions=(1, 2),
    quorum_priority_levels=1,
    reply_to_is_a_queue=False,
    quorum_delivery_limit=None,
    tells_first_quorum_delivery=True,
    knows_mirrored_queues=True,
    tells_deaths_as_3_x=True,
    prints_unicode=False,
    dies_of_unroutable_history=True,
    hashes_header_types=True,
    hash_weight_max=None,
    missing_exchange_types=frozenset(("x-local-random",)),
    checks_user_id_first=True,
    policy_targets=("all", "queues", "exchanges"),
    policy_expires_quorum_queues=True,
    protocol_headers=(
        b"AMQP\x00\x00\x09\x01",
        b"AMQP\x01\x01\x00\x09",
        b"AMQP\x01\x01\x09\x01",
        b"AMQP\x01\x01\x08\x00",
    ),
)

_4_0: Final = Profile(
    name="4.0",
    version="4.0.5",
    erlang="27.3.4",
    copyright="Copyright (c) 2007-2024 Broadcom Inc and/or its subsidiaries",
    mechanisms=("AMQPLAIN", "ANONYMOUS", "PLAIN"),
    frame_size_min=4096,
    message_size_max=16 * _MIB,
    answers_bad_header_with_sasl=True,
    unknown_exchange_type_closes_connection=False,
    stores_queue_type=True,
    headers_match_numbers_by_type=True,
    refuses_odd_delivery_modes=False,
    finds_tx_queues_at_commit=False,
    denies_transient_queues=False,
    counts_acquired=False,
    denies_global_prefetch=False,
    consumer_timeout_is_for_quorum_queues=False,
    passive_declare_needs_any_permission=False,
    topic_hash_max=None,
    queue_versions=(1, 2),
    quorum_priority_levels=2,
    reply_to_is_a_queue=False,
    quorum_delivery_limit=20,
    tells_first_quorum_delivery=False,
    knows_mirrored_queues=False,
    tells_deaths_as_3_x=False,
    prints_unicode=True,
    dies_of_unroutable_history=False,
    hashes_header_types=False,
    hash_weight_max=None,
    missing_exchange_types=frozenset(),
    checks_user_id_first=False,
    policy_targets=("all", "queues", "exchanges", "classic_queues", "quorum_queues", "streams"),
    policy_expires_quorum_queues=False,
    protocol_headers=(b"AMQP\x00\x00\x09\x01", b"AMQP\x01\x01\x00\x09"),
)

_4_1: Final = replace(_4_0, name="4.1", version="4.1.8", erlang="27.3.4", copyright=_BROADCOM, frame_size_min=8192)
_4_2: Final = replace(_4_1, name="4.2", version="4.2.5", reply_to_is_a_queue=True)
_4_3: Final = replace(
    _4_2,
    name="4.3",
    version="4.3.5",
    denies_transient_queues=True,
    counts_acquired=True,
    denies_global_prefetch=True,
    consumer_timeout_is_for_quorum_queues=True,
    passive_declare_needs_any_permission=True,
    topic_hash_max=2,
    queue_versions=(2,),
    hash_weight_max=10_000,
    quorum_priority_levels=32,
)

PROFILES: Final = {profile.name: profile for profile in (_3_10, _4_0, _4_1, _4_2, _4_3)}
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
