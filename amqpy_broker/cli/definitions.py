"""`--definitions FILE`: users, vhosts and topology from a file that RabbitMQ has exported."""

import logging
from pathlib import Path

from amqpy_broker.cli.group import fail
from amqpy_broker.core.broker import DEFAULT_USER, BrokerCore
from amqpy_broker.core.definitions import DefinitionsError, load, parse

logger = logging.getLogger(__name__)


def load_definitions(core: BrokerCore, path: Path) -> None:
    """Load a definitions file, or end with what is wrong with it.

    As in RabbitMQ a file that names users means these: guest is gone unless it is one of them
    (https://www.rabbitmq.com/docs/definitions#import-on-boot).
    """
    try:
        document = parse(path.read_bytes())
        remarks = load(core, document, open_to=DEFAULT_USER)
    except OSError as failure:
        fail(f"cannot read {path}: {failure.strerror or failure}")
    except DefinitionsError as failure:
        fail(f"{path}: {failure}")
    for remark in remarks:
        logger.warning("%s: %s", path, remark)
    names = _names_of_users(document)
    if names and DEFAULT_USER not in names:
        core.users.remove(DEFAULT_USER)


def _names_of_users(document: object) -> set[object]:
    users = document.get("users", ()) if isinstance(document, dict) else ()
    return {user["name"] for user in users}
