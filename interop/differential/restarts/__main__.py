"""Compare what survives a restart with RabbitMQ.

    python -m interop.differential.restarts              our broker against a live RabbitMQ 4.0, stopped and killed
    python -m interop.differential.restarts --golden     ... against what RabbitMQ answered when it was recorded
    python -m interop.differential.restarts --record     record RabbitMQ's answers anew

The exit code is 1 if anything differs that interop/deviations.toml does not name.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from interop.differential import golden
from interop.differential.administered import administered
from interop.differential.administration import ByHttp
from interop.differential.compare import compare, read_deviations, show_difference
from interop.differential.pending import Pending
from interop.differential.player import Player, Transcripts
from interop.differential.restarts.scenarios import confirming, put, scenarios
from interop.differential.scenario import Stage
from interop.peers import Peer, rabbitmq
from interop.peers.rabbitmq import MANAGEMENT

ENDINGS = ("stop", "kill")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m interop.differential.restarts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--profile", choices=golden.VERSIONS, default="4.0", help="which RabbitMQ to compare with")
    parser.add_argument("--only", default="", metavar="TEXT", help="only scenarios with this in their name")
    parser.add_argument("--golden", action="store_true", help="compare with the recorded transcripts")
    parser.add_argument("--record", action="store_true", help="write the transcripts of a live RabbitMQ to golden/")
    arguments = parser.parse_args()
    if arguments.record:
        golden.write(arguments.profile, _play_theirs(arguments), keep_others=bool(arguments.only))
        return 0
    theirs = golden.read(arguments.profile) if arguments.golden else _play_theirs(arguments)
    ours = _play(lambda: _ours(arguments.profile), arguments.only)
    result = compare(theirs, ours, read_deviations(arguments.profile), Pending(()))
    for name in result.different:
        print("\n".join(show_difference(name, theirs[name], ours[name])), end="\n\n")
    for name, deviation in result.deviating.items():
        print(f"deviates on purpose: {name}: {deviation.reason}")
    for deviation in result.stale:
        print(f"does not deviate any more: {deviation.scenario} in deviations.toml")
    print(result.summary())
    return 0 if result.is_good else 1


def _play_theirs(arguments: argparse.Namespace) -> Transcripts:
    return _play(lambda: rabbitmq(arguments.profile, plugins=(MANAGEMENT,)), arguments.only)


@contextmanager
def _ours(profile: str) -> Iterator[Peer]:
    with (
        tempfile.TemporaryDirectory(prefix="amqpy-restart-") as folder,
        administered(profile, "--data-dir", folder) as peer,
    ):
        yield peer


def _play(start: Callable[[], AbstractContextManager[Peer]], only: str) -> Transcripts:
    played: Transcripts = {}
    for ending in ENDINGS:
        with ExitStack() as stack:
            played |= _play_through(stack.enter_context(start()), ending, only)
    return played


def _play_through(peer: Peer, ending: str, only: str) -> Transcripts:
    """Play all first halves, restart the broker, and play all second halves."""
    assert peer.management_port is not None
    player = Player(peer.url, ByHttp(peer.management_port))
    stages: dict[str, Stage] = {}
    halves = {}
    for name, scenario in scenarios(ending).items():
        if only in name:
            stages[name] = player.stage(name)
            halves[name] = scenario(stages[name])
            _go_on(stages[name], halves[name])
    _settle_down(player.stage("restarts"))
    player.close()
    assert peer.restart is not None
    peer.restart(ending == "kill")
    for name, stage in stages.items():
        stage.transcript.remark("the broker was killed and started" if ending == "kill" else "the broker restarted")
        for connection in stage.connections:
            connection.drop()
        _go_on(stage, halves[name])
    return {name: list(stage.transcript.lines) for name, stage in stages.items()}


def _settle_down(stage: Stage) -> None:
    """Let everything reach the disk that was done before: what is confirmed now came after it."""
    channel = confirming(stage)
    queue = stage.declared_queue(channel, durable=True)
    put(channel, queue, "the last of all")
    channel.connection.drop()


def _go_on(stage: Stage, halves: Iterator[None]) -> None:
    """Play up to the restart, or from there to the end."""
    try:
        next(halves)
    except StopIteration:
        stage.finish()
    except Exception as error:
        stage.transcript.remark(f"the scenario cannot go on: {type(error).__name__}: {error}")


if __name__ == "__main__":
    raise SystemExit(main())
