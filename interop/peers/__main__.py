"""Run one broker in the foreground until ^C: `python -m interop.peers rabbitmq 3.10 --port 5673`."""

from __future__ import annotations

import argparse
import signal

from interop.peers import amqpy, rabbitmq
from interop.peers.peer import PeerFailedError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m interop.peers", description=__doc__)
    parser.add_argument("broker", choices=["rabbitmq", "amqpy"])
    parser.add_argument("version", nargs="?", default="4.0", help="RabbitMQ's version, or our profile: 3.10 or 4.0")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    arguments = parser.parse_args()
    start = rabbitmq if arguments.broker == "rabbitmq" else amqpy
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with start(arguments.version, port=arguments.port) as peer:
            print(f"{peer.name}: {peer.url} (process {peer.pid}); ^C stops it", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except PeerFailedError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
