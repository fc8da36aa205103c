"""`amqpy-broker store`: look into a data directory, make it small, copy it."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from amqpy_broker.core.journal import JournalFailed
from amqpy_broker.protocols.amqp091.stored import StoredMessages
from amqpy_broker.storage import inspect as inspection
from amqpy_broker.storage.backup import back_up
from amqpy_broker.storage.inspect import Inspection, StoredMessage

_DAMAGED_CODE: Final = 1
_BODY_SHOWN_BYTES: Final = 60
_KIB: Final = 1024

_directory = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))


@click.group(no_args_is_help=True)
def store() -> None:
    """Look into a data directory, make it small, copy it.

    check, stats, dump and backup work beside a running broker, too: they see what was durable at one moment.
    """


@store.command()
@_directory
def check(directory: Path) -> None:
    """Read and verify everything. Exit with 1 if something is damaged."""
    with _one_line_errors():
        found = inspection.inspect(directory)
    for finding in found.survey.findings:
        click.echo(f"damaged: {finding.text}")
    messages = sum(stats.messages for stats in found.queues.values())
    click.echo(
        f"{directory}: {'damaged' if found.survey.findings else 'sound'}: {messages} messages of {len(found.queues)} "
        f"queues, {len(found.survey.documents)} documents{_in_use(found)}"
    )
    if found.survey.findings:
        raise SystemExit(_DAMAGED_CODE)


@store.command()
@_directory
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def stats(directory: Path, *, as_json: bool) -> None:
    """Count messages and octets, in all and by queue."""
    with _one_line_errors():
        found = inspection.inspect(directory)
    names = queue_names(found.survey.documents)
    queues = [
        {
            "id": queue,
            "name": names.get(queue, ("", ""))[1],
            "vhost": names.get(queue, ("", ""))[0],
            "messages": stats.messages,
            "body_bytes": stats.body_bytes,
            "batches": stats.batches,
        }
        for queue, stats in sorted(found.queues.items())
    ]
    totals: dict[str, object] = {
        "messages": sum(stats.messages for stats in found.queues.values()),
        "body_bytes": sum(stats.body_bytes for stats in found.queues.values()),
        "documents": len(found.survey.documents),
        "file_bytes": found.file_bytes,
        "free_bytes": found.free_bytes,
        "log_bytes": found.log_bytes,
        "next_batch": found.survey.next_batch,
        "closed_cleanly": found.survey.closed_cleanly,
        "in_use": found.in_use_by is not None,
        "damaged": len(found.survey.findings),
    }
    if as_json:
        click.echo(json.dumps({**totals, "queues": queues}))
        return
    for key, value in totals.items():
        click.echo(f"{key:<15} {_readable(key, value)}")
    if queues:
        click.echo(f"\n{'messages':>12} {'bodies':>12}  queue")
    for queue in queues:
        label = f"{queue['vhost']} {queue['name']} " if queue["vhost"] else ""
        click.echo(f"{queue['messages']:>12} {_readable('bytes', queue['body_bytes']):>12}  {label}({queue['id']})")


@store.command()
@_directory
@click.option("--queue", metavar="NAME|ID", help="Only messages of this queue.")
@click.option("--bodies", is_flag=True, help="Print bodies in full.")
def dump(directory: Path, *, queue: str | None, bodies: bool) -> None:
    """Print documents and messages, a JSON object a line."""
    with _one_line_errors():
        documents = dict(inspection.documents(directory))
        names = queue_names(documents)
        if queue is None:
            for key, data in documents.items():
                click.echo(json.dumps({"document": key, "data": data.decode("utf-8", "backslashreplace")}))
        for queue_id in _chosen(queue, names):
            for message in inspection.messages(directory, StoredMessages(), queue_id):
                click.echo(json.dumps(_described(message, names, bodies=bodies)))


@store.command()
@_directory
def compact(directory: Path) -> None:
    """Write everything anew, without gaps. The broker must be stopped."""
    with _one_line_errors():
        before, after = inspection.compact(directory)
    click.echo(f"{directory}: {_readable('bytes', before)} before, {_readable('bytes', after)} after")


@store.command()
@_directory
@click.argument("target", metavar="TO", type=click.Path(path_type=Path, file_okay=False))
def backup(directory: Path, target: Path) -> None:
    """Copy what is durable now to another directory, which a broker can be started with."""
    with _one_line_errors():
        back_up(directory, target)
    click.echo(f"{directory}: copied to {target}")


def queue_names(documents: Mapping[str, bytes]) -> dict[int, tuple[str, str]]:
    """Say which vhost and name belong to which id, as far as documents tell."""
    names = {}
    for key, data in documents.items():
        kind, _, rest = key.partition(" ")
        if kind == "queue":
            vhost, name = json.loads(rest)
            names[int(json.loads(data)["id"])] = (str(vhost), str(name))
    return names


def _chosen(queue: str | None, names: Mapping[int, tuple[str, str]]) -> list[int | None]:
    if queue is None:
        return [None]
    found: list[int | None] = [queue_id for queue_id, (_vhost, name) in names.items() if name == queue]
    if not found and not queue.isdigit():
        raise click.ClickException(f"there is no queue '{queue}'")
    return found or [int(queue)]


def _described(stored: StoredMessage, names: Mapping[int, tuple[str, str]], *, bodies: bool) -> dict[str, object]:
    message = stored.message
    body = message.body if bodies else message.body[:_BODY_SHOWN_BYTES]
    vhost, name = names.get(stored.queue, ("", ""))
    described: dict[str, object] = {
        "queue": name or stored.queue,
        "vhost": vhost,
        "batch": stored.batch,
        "place": stored.place,
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "body_bytes": message.body_size,
        "body": body.decode("utf-8", "backslashreplace"),
    }
    if stored.expires_at_unix_ms is not None:
        described["expires_at_unix_ms"] = stored.expires_at_unix_ms
    if stored.mark is not None:
        described["delivery_count"] = stored.mark.delivery_count
    return described


def _in_use(found: Inspection) -> str:
    if found.in_use_by is None:
        return ""
    return f"; in use by process {found.in_use_by}" if found.in_use_by else "; in use by another process"


def _readable(key: str, value: object) -> str:
    if not isinstance(value, int) or isinstance(value, bool) or not key.endswith("bytes"):
        return str(value).lower() if isinstance(value, bool) else str(value)
    amount, units = float(value), ["B", "KiB", "MiB", "GiB"]
    while amount >= _KIB and len(units) > 1:
        amount /= _KIB
        units.pop(0)
    return f"{amount:.{0 if units[0] == 'B' else 1}f} {units[0]}"


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (JournalFailed, sqlite3.Error, OSError) as failure:
        raise click.ClickException(str(failure)) from failure
