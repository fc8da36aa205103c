"""`amqpy-broker` serves, `amqpy-broker run -- COMMAND` serves one command."""

import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import click

from amqpy_broker.cli.definitions import load_definitions
from amqpy_broker.cli.group import LAZY_COMMANDS, CommandGroup, fail
from amqpy_broker.cli.running import LOOPS, run_loop, serve, serve_command
from amqpy_broker.config import Config, ConfigError, load_config, parse_size
from amqpy_broker.core.journal import JournalFailed
from amqpy_broker.core.limits import DISK_FREE_LIMIT_BYTES
from amqpy_broker.core.profile import DEFAULT_PROFILE, PROFILES
from amqpy_broker.server.broker import DEFAULT_HOST, Broker
from amqpy_broker.version import VERSION

DEFAULT_PORT: Final = 5672
READY: Final = f"amqpy-broker {VERSION} ready at {{url}}"
B = TypeVar("B", bound=Broker)

_LOG_LEVELS: Final = ("debug", "info", "warning", "error")


def _load_config(context: click.Context, _parameter: click.Parameter, path: Path | None) -> Config:
    try:
        config = Config() if path is None else load_config(path)
    except ConfigError as failure:
        raise click.BadParameter(str(failure)) from None
    context.default_map = dict(config.options)
    return config


def _size(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    try:
        return None if text is None else parse_size(text)
    except ValueError as failure:
        raise click.BadParameter(str(failure)) from None


@click.group(
    cls=CommandGroup,
    invoke_without_command=True,
    context_settings={"auto_envvar_prefix": "AMQPY", "help_option_names": ["-h", "--help"], "show_default": True},
    epilog="Every option is also a setting of the file and a variable: --log-level, log_level, AMQPY_LOG_LEVEL.",
)
@click.option("--config", type=click.Path(path_type=Path), is_eager=True, callback=_load_config, metavar="FILE",
              help="Settings, users and vhosts from a TOML file.")  # fmt: skip
@click.option("--host", default=DEFAULT_HOST, help="Address to listen on; 0.0.0.0 is all of them.")
@click.option("--port", default=DEFAULT_PORT, type=click.IntRange(0, 65535), help="Port; 0 is any free one.")
@click.option("--unix", metavar="PATH", help="Listen on a Unix socket, too.")
@click.option("--profile", default=DEFAULT_PROFILE, type=click.Choice(list(PROFILES)),
              help="The RabbitMQ version to stand in for.")  # fmt: skip
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Keep what is durable here; without it all is in memory.")  # fmt: skip
@click.option("--recover", is_flag=True, help="Set aside what is damaged in the data directory, and go on.")
@click.option("--disk-free-limit", callback=_size, default=f"{DISK_FREE_LIMIT_BYTES // 10**6}MB", metavar="SIZE",
              help="Publishers wait when the data directory's disk has less room.")  # fmt: skip
@click.option("--definitions", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Users, vhosts and topology from a file that RabbitMQ has exported.")  # fmt: skip
@click.option("--memory-watermark", callback=_size, metavar="SIZE",
              help="Publishers wait when messages hold more. [default: 60 % of memory]")  # fmt: skip
@click.option("--trace", is_flag=True, help="Copy all messages to the exchange amq.rabbitmq.trace.")
@click.option("--events", is_flag=True, help="Publish what happens to the exchange amq.rabbitmq.event.")
@click.option("--log-level", default="info", type=click.Choice(_LOG_LEVELS), help="What is logged, to stderr.")
@click.option("--loop", default="auto", type=click.Choice(LOOPS), help="Event loop; auto is uvloop if installed.")
@click.version_option(VERSION, prog_name="amqpy-broker")
@click.pass_context
def main(context: click.Context, /, port: int, log_level: str, loop: str, **_of_the_broker: object) -> None:
    """Run an AMQP 0-9-1 broker that RabbitMQ's clients can use.

    Prints one line with its URL when clients can connect. Stops on SIGTERM or SIGINT (Ctrl-C); a second one stops at
    once.

    \b
    amqpy-broker                          on 127.0.0.1:5672, user guest, password guest
    amqpy-broker --port 0                 on a free port
    amqpy-broker --data-dir DIR           durable queues and persistent messages survive a restart
    amqpy-broker run -- pytest tests      for one command, which finds it in AMQP_URL
    """
    if context.invoked_subcommand in LAZY_COMMANDS:
        return
    in_run = context.invoked_subcommand is not None
    port_is_default = context.get_parameter_source("port") in (None, click.core.ParameterSource.DEFAULT)
    logging.basicConfig(level=log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    if in_run and context.get_parameter_source("log_level") is click.core.ParameterSource.DEFAULT:
        logging.getLogger().setLevel(logging.WARNING)
    broker = make_broker(context, Broker, port=0 if in_run and port_is_default else port)
    context.obj = (broker, loop)
    if not in_run:
        run_loop(partial(serve, broker, READY), loop)


def make_broker(context: click.Context, kind: type[B], *, port: int) -> B:
    """Make a broker of the options that were given, or end the command with what hinders it."""
    options = context.params
    config: Config = options["config"]
    data_dir: Path | None = options["data_dir"]
    if options["recover"] and data_dir is None:
        raise click.UsageError("--recover needs --data-dir: there is nothing to recover in memory")
    try:
        broker = kind(
            host=options["host"],
            port=port,
            unix_path=options["unix"],
            profile=options["profile"],
            data_dir=data_dir,
            recover=options["recover"],
            disk_free_limit_bytes=options["disk_free_limit"],
            memory_watermark_bytes=options["memory_watermark"],
            limits=config.limits,
            events=options["events"],
        )
    except JournalFailed as failure:
        fail(str(failure))
    except OSError as failure:
        fail(f"cannot use the data directory {data_dir}: {failure.strerror or failure}")
    if options["definitions"] is not None:
        load_definitions(broker.core, options["definitions"])
    config.apply(broker.core)
    if options["trace"]:
        for vhost in broker.core.vhosts:
            broker.trace_on(vhost)
    return broker


# Whatever follows the command's name is the command's, --help too.
@main.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def run(started_with: tuple[Broker, str], command: Sequence[str]) -> None:
    """Run COMMAND with a broker of its own, and exit as it does.

    The command finds the broker's URL in AMQP_URL, RABBITMQ_URL and CELERY_BROKER_URL. The port is a free one unless
    --port is given before `run`. SIGTERM, SIGINT and SIGHUP go to the command.

    \b
    amqpy-broker run -- pytest tests
    amqpy-broker --profile 3.10 run -- npm test
    """
    broker, loop = started_with
    sys.exit(run_loop(partial(serve_command, broker, command), loop))
