"""The queue's tasks, and how a transaction queues one.

Whoever has tasks registers them by importing this module and decorating functions:

    @task("suspend_tenant")
    def suspend_tenant(platform: Platform, tenant_id: str) -> None: ...

The worker imports those modules before it runs. Queueing needs the task's name only, so the portal and the API queue
work without importing what does it.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, cast

import psycopg
from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, OperationalError

from ...config.errors import FailedError
from ...config.settings import Settings
from ..control.engine import control_params
from ..control.platform import Platform
from ..keys import KeyStore
from . import queries

P = ParamSpec("P")


class _Jobs(JobManager):
    """Ends a job that is to be tried again while its like waits: the other does the same, and two may not wait."""

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        try:
            await super().retry_job(job, retry_at, priority, queue, lock)
        except UniqueViolation:  # of the queueing lock
            await self.finish_job(job=job, status=Status.ABORTED, delete_job=True)


# Connects to nothing: the worker runs it over `job_connector`.
app = App(connector=PsycopgConnector())
app.job_manager = _Jobs(app.connector)

# Each has slots of its own in a worker, so that an hour of backups keeps no mail waiting.
DEFAULT = "default"  # what somebody waits for
BACKUP = "backup"  # making backups
UPKEEP = "upkeep"  # long work that nobody waits for
MAIL = "mail"  # a mail server may take its time
HOOKS = "hooks"  # telling customers' own machines, which may take long to answer

_PLATFORM = "platform"
# What a repetition may cure; anything else is a bug or a refusal, and stays failed.
_RETRY = RetryStrategy(
    max_attempts=6,
    exponential_wait=3,  # seconds: 3, 9, 27, 81, 243
    retry_exceptions=[FailedError, psycopg.OperationalError, OperationalError],
)


def task(
    name: str, retry: RetryStrategy | bool = _RETRY, queue: str = DEFAULT
) -> Callable[[Callable[Concatenate[Platform, P], None]], Callable[Concatenate[Platform, P], None]]:
    """Register a function as the task `name`; it gets the worker's platform and the arguments it was queued with.

    It must be safe to run again: a worker may be killed in the middle of it. `queue`: one of those above; whoever
    queues it by its name must name the same.
    """

    def register(function: Callable[Concatenate[Platform, P], None]) -> Callable[Concatenate[Platform, P], None]:
        app.task(name=name, pass_context=True, retry=retry, queue=queue)(_with_platform(function))
        return function

    return register


def periodic(
    cron: str, name: str, queue: str = DEFAULT
) -> Callable[[Callable[[Platform], None]], Callable[[Platform], None]]:
    """Register a function to be run whenever `cron` (UTC) says, by one worker, and never twice at the same time."""

    def register(function: Callable[[Platform], None]) -> Callable[[Platform], None]:
        def run(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - the signature of periodic tasks
            function(_platform(context))

        registered = app.task(name=name, pass_context=True, lock=name, queueing_lock=name, queue=queue)(run)
        app.periodic(cron=cron)(registered)
        return function

    return register


def defer_in(
    conn: Connection,
    task_name: str,
    *,
    lock: str | None = None,
    queueing_lock: str | None = None,
    run_at: datetime | None = None,
    queue: str = DEFAULT,
    **arguments: Any,
) -> int | None:
    """Queue a task in the open transaction of `conn` (control database): it runs if and when that is committed.

    Jobs with the same `lock` run one after the other. Returns the job's id, or None if a job with the same
    `queueing_lock` waits already. `arguments` are JSON; they hold ids, never secrets or personal data.
    """
    try:
        with conn.begin_nested():
            return queries.defer(
                conn,
                task_name,
                queue=queue,
                lock=lock,
                queueing_lock=queueing_lock,
                run_at=run_at,
                arguments=arguments,
            )
    except IntegrityError as error:
        if queries.is_queued_already(error):
            return None
        raise


def job_connector(settings: Settings, keys: KeyStore, connections: int = 4) -> PsycopgConnector:
    """Return the worker's way to the queue. Connects when it is opened."""
    seconds = 5.0  # to wait for a connection before the database counts as lost
    return PsycopgConnector(
        kwargs=control_params(settings, keys),
        min_size=1,
        max_size=connections,
        timeout=seconds,
        reconnect_timeout=seconds,
    )


def worker_context(platform: Platform) -> dict[str, Any]:
    """Return what the worker hands to every task."""
    return {_PLATFORM: platform}


def _platform(context: JobContext) -> Platform:
    platform = cast("dict[str, object]", context.additional_context)[_PLATFORM]
    assert isinstance(platform, Platform)
    return platform


def _with_platform(function: Callable[Concatenate[Platform, P], None]) -> Callable[..., None]:
    def run(context: JobContext, **arguments: Any) -> None:
        function(_platform(context), **arguments)  # pyright: ignore[reportCallIssue]  # from the queue

    return run
