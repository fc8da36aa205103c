"""How commands run: an event loop, something that serves in it until a signal, or until a command has ended."""

import errno
import gc
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, Protocol

import anyio
import click
from anyio.abc import Process

from amqpy_broker.cli.allocator import keep_free_memory
from amqpy_broker.cli.group import fail

logger = logging.getLogger(__name__)

# What programs in many languages look at to find their broker.
URL_VARIABLES: Final = ("AMQP_URL", "RABBITMQ_URL", "CELERY_BROKER_URL")
LOOPS: Final = ("auto", "uvloop", "asyncio", "trio")
_SIGNALLED: Final = 128
# What shells answer to a command that is there but cannot be run, and to one that is not there.
_NOT_EXECUTABLE: Final = 126
_NOT_FOUND: Final = 127
# Collecting the youngest objects every 700 allocations costs a broker 10 % and finds nothing: a message is no cycle.
_GC_THRESHOLDS: Final = (50_000, 20, 50)


class Service(Protocol):
    """Something that listens: a broker, a proxy."""

    @property
    def url(self) -> str:
        """What clients connect to."""
        ...

    @property
    def wanted_address(self) -> str:
        """What is said when it cannot be had."""
        ...

    @property
    def connection_count(self) -> int:
        """Clients that are connected."""
        ...

    async def start(self) -> None:
        """Listen."""

    async def stop(self) -> None:
        """End."""

    async def wait_stopped(self) -> None:
        """Wait for the end, and raise what it failed of."""


def run_loop(main_task: Callable[[], Awaitable[int | None]], loop: str) -> int:
    """Run a task in an event loop, and return its exit code."""
    if loop == "auto":
        loop = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"
    elif not importlib.util.find_spec(loop):
        fail(f"--loop {loop}: {loop} is not installed")
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    keep_free_memory()
    backend = "trio" if loop == "trio" else "asyncio"
    options = {"use_uvloop": loop == "uvloop"} if backend == "asyncio" else {}
    return anyio.run(main_task, backend=backend, backend_options=options) or 0


async def serve(service: Service, ready: str) -> None:
    """Serve until a signal. `ready` is said once clients can connect, with `{url}` filled in."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        await _start(service)
        click.echo(ready.format(url=service.url))
        sys.stdout.flush()
        failure = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_on_signal, service, signals)
            try:
                await service.wait_stopped()
            except Exception as error:
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            fail(f"failed: {failure!r}; the log tells more")


async def _stop_on_signal(service: Service, signals: AsyncIterator[signal.Signals]) -> None:
    """Stop on a signal, and exit at once on a second one."""
    received = await anext(signals)
    logger.info("%s: closing %d connections", received.name, service.connection_count)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.stop)
        os._exit(_SIGNALLED + await anext(signals))


async def _start(service: Service) -> None:
    try:
        await service.start()
    except OSError as failure:
        hint = "; --port 0 takes a free port" if failure.errno == errno.EADDRINUSE and not failure.filename else ""
        fail(f"cannot listen on {failure.filename or service.wanted_address}: {failure.strerror or failure}{hint}")


async def serve_command(service: Service, command: Sequence[str]) -> int:
    """Serve while a command runs that finds the URL in its environment, and return its exit code."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        await _start(service)
        environment = dict(os.environ) | dict.fromkeys(URL_VARIABLES, service.url)
        try:
            process = await anyio.open_process(command, stdin=None, stdout=None, stderr=None, env=environment)
        except OSError as failure:
            await service.stop()
            code = _NOT_FOUND if isinstance(failure, FileNotFoundError) else _NOT_EXECUTABLE
            fail(f"cannot run {command[0]}: {failure.strerror}", code)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_forward_signals, signals, process)
            code = await process.wait()
            tasks.cancel_scope.cancel()
        await service.stop()
    return code if code >= 0 else _SIGNALLED - code


async def _forward_signals(signals: AsyncIterator[signal.Signals], process: Process) -> None:
    """Pass signals on. A terminal gives its Ctrl-C to the command itself."""
    from_terminal = sys.stdin is not None and sys.stdin.isatty()
    async for received in signals:
        if not (received is signal.SIGINT and from_terminal):
            process.send_signal(received)
