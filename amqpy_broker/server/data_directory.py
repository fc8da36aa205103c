"""A data directory: opened, and a broker made of what is there."""

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.journal import Journal
from amqpy_broker.protocols.amqp091.stored import StoredMessages
from amqpy_broker.server.durability import Durability
from amqpy_broker.server.loop_calls import LoopCalls
from amqpy_broker.storage.sqlite import SqliteJournal

logger = logging.getLogger(__name__)


def open_directory(
    directory: Path,
    make_core: Callable[[Journal], BrokerCore],
    disk_free_limit_bytes: int,
    *,
    recover: bool = False,
) -> tuple[BrokerCore, Durability]:
    """Open a data directory, and make a broker of what is there.

    Raises:
        JournalFailed: it is in use, damaged, or of a newer version.
        OSError: it cannot be used.
    """
    began_s = time.perf_counter()
    calls = LoopCalls()
    journal = SqliteJournal(directory, StoredMessages(), calls.soon, recover=recover)
    try:
        core = make_core(journal)
    except BaseException:
        journal.close()
        raise
    _tell(core, directory, time.perf_counter() - began_s)
    return core, Durability(core, journal, calls, lambda: shutil.disk_usage(directory).free, disk_free_limit_bytes)


def _tell(core: BrokerCore, directory: Path, seconds: float) -> None:
    found = core.found
    if found.is_new:
        logger.info("the data directory %s is new", directory)
        return
    if not found.closed_cleanly:
        logger.warning("the last broker on %s did not stop cleanly", directory)
    logger.info(
        "recovered %d messages in %d queues from %s in %.2f s",
        found.messages_count,
        found.queues_count,
        directory,
        seconds,
    )
