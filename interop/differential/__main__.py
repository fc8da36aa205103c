"""Compare a broker with RabbitMQ, frame by frame.

    python -m interop.differential                   our broker against a live RabbitMQ 4.0
    python -m interop.differential --golden          ... against what RabbitMQ answered when it was recorded
    python -m interop.differential --generated 200   ... in 200 conversations made up at random
    python -m interop.differential --record          record RabbitMQ's answers anew
    python -m interop.differential --url amqp://...  another broker instead of ours
    python -m interop.differential --golden --pending --only dead_letter
                                                     one file, with what pending.txt says is not to be expected yet

The exit code is 1 if anything differs that neither interop/deviations.toml nor pending.txt names.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from interop.differential import golden
from interop.differential.administered import administered
from interop.differential.administration import ByHttp
from interop.differential.compare import Comparison, compare, read_deviations, show_difference
from interop.differential.pending import read_pending
from interop.differential.player import Player, Transcripts
from interop.differential.scenario import Scenario, chosen_scenarios
from interop.differential.virtual import play_in_virtual_time
from interop.peers import Peer, rabbitmq
from interop.peers.peer import PeerFailedError
from interop.peers.rabbitmq import MANAGEMENT

RECORDINGS_COUNT = 3
# What its Debian package has beside RabbitMQ: exchange types, events, and what sets policies quickly.
PLUGINS = (
    MANAGEMENT,
    "rabbitmq_event_exchange",
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_random_exchange",
    "rabbitmq_recent_history_exchange",
    "rabbitmq_sharding",
)


def main() -> int:
    arguments = _parse()
    scenarios = chosen_scenarios(arguments.only)
    try:
        if arguments.list:
            print("\n".join(scenario.name for scenario in scenarios))
            return 0
        if arguments.record:
            return _record(arguments, scenarios)
        if arguments.generated:
            return _generated(arguments)
        return _compare(arguments, scenarios)
    except PeerFailedError as error:
        print(error)
        return 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m interop.differential",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--profile", choices=golden.VERSIONS, default="4.0", help="which RabbitMQ to compare with")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="TEXT", help="only scenarios of this file, or with this in their name"
    )
    parser.add_argument("--pending", action="store_true", help="play those of pending.txt too, and tell which are done")
    parser.add_argument("--golden", action="store_true", help="compare with the recorded transcripts")
    parser.add_argument("--record", action="store_true", help="write the transcripts of a live RabbitMQ to golden/")
    parser.add_argument("--url", help="play against this broker instead of starting ours")
    parser.add_argument("--rabbitmq-url", metavar="URL", help="this RabbitMQ, already running, instead of starting one")
    parser.add_argument(
        "--real-time", action="store_true", help="run our broker as a process that waits as RabbitMQ does"
    )
    parser.add_argument("--generated", type=int, default=0, metavar="N", help="play N generated conversations")
    parser.add_argument("--seed", type=int, help="repeat a run of --generated")
    parser.add_argument("--list", action="store_true", help="name the scenarios and do nothing")
    parser.add_argument("--show", action="store_true", help="print our transcripts too")
    return parser.parse_args()


@contextmanager
def _player_of_rabbitmq(arguments: argparse.Namespace) -> Iterator[Player]:
    if arguments.rabbitmq_url:
        yield from _player(arguments.rabbitmq_url)
    else:
        with rabbitmq(arguments.profile, plugins=PLUGINS) as peer:
            yield from _player_of(peer)


@contextmanager
def _player_of_ours(arguments: argparse.Namespace) -> Iterator[Player]:
    if arguments.url:
        yield from _player(arguments.url)
    else:
        with administered(arguments.profile, "--events") as peer:
            yield from _player_of(peer)


def _play_ours(arguments: argparse.Namespace, scenarios: list[Scenario]) -> Transcripts:
    if arguments.url or arguments.real_time:
        with _player_of_ours(arguments) as player:
            return player.play_all(scenarios)
    return play_in_virtual_time(arguments.profile, scenarios)


def _player_of(peer: Peer) -> Iterator[Player]:
    assert peer.management_port is not None
    return _player(peer.url, ByHttp(peer.management_port))


def _player(url: str, administration: ByHttp | None = None) -> Iterator[Player]:
    player = Player(url, administration)
    try:
        yield player
    finally:
        player.close()


def _compare(arguments: argparse.Namespace, scenarios: list[Scenario]) -> int:
    pending = read_pending(arguments.profile)
    if arguments.url or arguments.rabbitmq_url:
        # Of these we know no more than where clients connect.
        scenarios = [scenario for scenario in scenarios if not scenario.needs_administration]
    if not arguments.pending:
        scenarios = [scenario for scenario in scenarios if not pending.covers(scenario.name)]
    if arguments.golden:
        theirs = golden.read(arguments.profile)
    else:
        with _player_of_rabbitmq(arguments) as player:
            theirs = player.play_all(scenarios)
    ours = _play_ours(arguments, scenarios)
    if arguments.show:
        for name, lines in ours.items():
            print("\n".join([f"== {name}", *lines, ""]))
    result = compare(theirs, ours, read_deviations(arguments.profile), pending)
    _report(result, theirs, ours)
    return 0 if result.is_good else 1


def _report(result: Comparison, theirs: Transcripts, ours: Transcripts) -> None:
    for name in [*result.pending, *result.different]:
        print("\n".join(show_difference(name, theirs[name], ours[name])), end="\n\n")
    for name, deviation in result.deviating.items():
        print(f"deviates on purpose: {name}: {deviation.reason}")
    for name in result.done:
        print(f"no longer pending: {name}")
    for name in result.unrecorded:
        print(f"not recorded: {name}")
    for deviation in result.stale:
        print(f"does not deviate any more: {deviation.scenario} in deviations.toml")
    print(result.summary())


def _record(arguments: argparse.Namespace, scenarios: list[Scenario]) -> int:
    """Record, several times: what does not come out the same each time is of no use as a reference."""
    with _player_of_rabbitmq(arguments) as player:
        runs = [player.play_all(scenarios) for _ in range(RECORDINGS_COUNT)]
    unsteady = [name for name in runs[0] if any(run[name] != runs[0][name] for run in runs)]
    for name in unsteady:
        other = next(run[name] for run in runs if run[name] != runs[0][name])
        print("\n".join(show_difference(name, runs[0][name], other)))
    golden.write(arguments.profile, runs[0], keep_others=bool(arguments.only))
    folder = golden.FOLDER / golden.VERSIONS[arguments.profile]
    print(f"{len(runs[0])} recorded in {folder}, {len(unsteady)} unsteady")
    return 1 if unsteady else 0


def _generated(arguments: argparse.Namespace) -> int:
    from interop.differential.generated import find_difference

    with _player_of_rabbitmq(arguments) as theirs, _player_of_ours(arguments) as ours:
        found = find_difference(theirs, ours, count=arguments.generated, seed_number=arguments.seed)
    if found is not None:
        print(found)
        return 1
    print(f"{arguments.generated} generated conversations, all identical")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
