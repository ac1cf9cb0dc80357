"""Runs queued jobs until told to stop."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import psycopg
from procrastinate.exceptions import ConnectorException
from procrastinate.periodic import PeriodicRegistry

from ...config.errors import UnavailableError
from ..control.platform import Platform
from .app import BACKUP, DEFAULT, HOOKS, MAIL, UPKEEP, app, job_connector, worker_context
from .outages import outages_told_briefly
from .upkeep import DEAD_AFTER_SECONDS, HEARTBEAT_SECONDS, requeue_stalled

GRACE_SECONDS = 5.0
_MAIL_SLOTS = 2
_HOOKS_SLOTS = 2  # so that one workspace whose receiver hangs leaves a slot to the others
_UPKEEP_SLOTS = 2  # so that what takes an hour keeps the copies to other stores waiting no longer

_logger = logging.getLogger(__name__)


def run_worker(
    platform: Platform,
    *,
    concurrency: int = 2,
    wait: bool = True,
    grace: float = GRACE_SECONDS,
    announce: Callable[[], None] = lambda: None,
) -> None:
    """Run jobs until SIGTERM or SIGINT; with `wait` false, until none is left that may run now.

    At the same time run: `concurrency` jobs of the default queue, `backup_parallel` backups, two pieces of upkeep and
    two deliveries of mail, two workspaces' webhooks. Calls `announce` as soon as a signal ends it cleanly. One at a
    time in a process; modules with tasks must have been imported. A job that does not end within `grace` seconds after
    the signal is left in the middle together with the process, as if it had been killed: it is queued again by another
    worker. Raises `UnavailableError` when the control database is lost.
    """
    with platform.control.connect():  # says at once what the pool would say after half a minute
        pass
    try:
        ended = asyncio.run(_run(platform, _lanes(platform, concurrency, wait=wait), wait, grace, announce))
    except (ConnectorException, psycopg.OperationalError) as error:
        raise UnavailableError("The worker has lost the control database.") from error
    if not ended:
        raise UnavailableError("The worker has lost the control database.")


@dataclass(frozen=True, slots=True)
class _Lane:
    """Slots for the jobs of one queue; None: of all."""

    queue: str | None
    slots: int


def _lanes(platform: Platform, concurrency: int, *, wait: bool) -> list[_Lane]:
    """Who waits for the end of all jobs has one lane: a job of one queue may add one to another."""
    backups = platform.settings.backup_parallel
    if not wait:
        return [_Lane(None, max(concurrency, backups))]
    others = [_Lane(UPKEEP, _UPKEEP_SLOTS), _Lane(MAIL, _MAIL_SLOTS), _Lane(HOOKS, _HOOKS_SLOTS)]
    return [_Lane(DEFAULT, concurrency), _Lane(BACKUP, backups), *others]


async def _run(
    platform: Platform, lanes: Sequence[_Lane], wait: bool, grace: float, announce: Callable[[], None]
) -> bool:
    """Return whether the worker ended because it was told to, or had nothing left to do."""
    told = asyncio.Event()
    slots = sum(lane.slots for lane in lanes)
    connector = job_connector(platform.settings, platform.keys, connections=slots + 2 * len(lanes) + 1)
    # Its own default has a few threads per processor, whatever the slots.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(slots + 1, "job"))
    # Replaced, not copied: periodic tasks are queued over the connector of the app that they were registered with.
    with app.replace_connector(connector), _signals(told), outages_told_briefly():
        announce()
        async with app.open_async():
            await requeue_stalled(app.job_manager)
            working = asyncio.create_task(_work(platform, lanes, wait))
            await _either(working, told)
            if not working.done():
                await _end(working, grace)
    if not told.is_set():
        working.result()  # raises what ended it
    return told.is_set() or not wait


async def _work(platform: Platform, lanes: Sequence[_Lane], wait: bool) -> None:
    """Work in all lanes until one ends; the others then take no new jobs and end with their running ones."""
    with nullcontext() if wait else _without_periodic_tasks():
        working = [asyncio.create_task(_work_in(lane, platform, wait)) for lane in lanes]
        try:
            await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in working:
                one.cancel()
            await asyncio.wait(working)
    for one in working:
        if not one.cancelled():
            one.result()  # raises what ended it; what ended others too, the event loop tells


async def _work_in(lane: _Lane, platform: Platform, wait: bool) -> None:
    await app.run_worker_async(
        queues=None if lane.queue is None else [lane.queue],  # pyright: ignore[reportArgumentType]  # None: all
        concurrency=lane.slots,
        wait=wait,
        listen_notify=wait,
        additional_context=worker_context(platform),
        install_signal_handlers=False,
        update_heartbeat_interval=HEARTBEAT_SECONDS,
        stalled_worker_timeout=DEAD_AFTER_SECONDS,
    )


async def _either(working: "asyncio.Task[None]", told: asyncio.Event) -> None:
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


async def _end(working: "asyncio.Task[None]", grace: float) -> None:
    """Let running jobs end; end the process when they take longer than `grace` seconds."""
    working.cancel()  # procrastinate's way to say: take no new job, wait for the running ones
    await asyncio.wait({working}, timeout=grace)
    if not working.done():
        _logger.warning("Jobs still run %.0f seconds after the signal; they will be queued again.", grace)
        # A thread cannot be stopped from outside, and the interpreter would wait for it.
        os._exit(0)


@contextmanager
def _without_periodic_tasks() -> Generator[None]:
    """Whoever wants the waiting jobs done does not ask for those that the clock would add."""
    registry = app.periodic_registry
    app.periodic_registry = PeriodicRegistry()
    try:
        yield
    finally:
        app.periodic_registry = registry


@contextmanager
def _signals(told: asyncio.Event) -> Generator[None]:
    """Set `told` on SIGTERM and SIGINT, where signals can be caught: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
