"""SQL of the job queue beside what procrastinate does itself. The caller owns the transaction."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

_ONE_WAITING = "procrastinate_jobs_queueing_lock_idx_v1"
# The function that procrastinate's own `defer` calls, procrastinate/sql/queries.sql.
_DEFER = text("""
    SELECT (procrastinate_defer_jobs_v1(ARRAY[ROW(
        :queue, :task_name, 0, :lock, :queueing_lock, CAST(:arguments AS jsonb), CAST(:run_at AS timestamptz)
    )::procrastinate_job_to_defer_v1]))[1]
""")
_COUNTS = text("SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY status")
_LAST_HEARTBEAT = text("SELECT max(last_heartbeat) FROM procrastinate_workers")
_OTHERS_WAIT = text("""
    SELECT EXISTS (SELECT FROM procrastinate_jobs
                   WHERE status = 'todo' AND task_name <> :task_name
                     AND (scheduled_at IS NULL OR scheduled_at <= now()))
""")
_UNFINISHED = text("""
    SELECT job.id, job.task_name, job.status::text, job.attempts, job.args,
           (SELECT max(event.at) FROM procrastinate_events event WHERE event.job_id = job.id) AS at
    FROM procrastinate_jobs job
    WHERE job.status IN ('todo', 'doing', 'failed', 'aborted')
    ORDER BY job.id DESC LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job that waits, runs or has failed; `at` is when it last changed."""

    id: int
    task: str
    state: str
    attempts: int
    arguments: dict[str, Any]
    at: datetime | None


def defer(
    conn: Connection,
    task_name: str,
    *,
    queue: str,
    lock: str | None,
    queueing_lock: str | None,
    run_at: datetime | None,
    arguments: dict[str, Any],
) -> int:
    """Queue a job and return its id. Raises `IntegrityError` if one with the same queueing lock waits."""
    values = {
        "task_name": task_name,
        "queue": queue,
        "lock": lock,
        "queueing_lock": queueing_lock,
        "run_at": run_at,
        "arguments": json.dumps(arguments),
    }
    return int(conn.execute(_DEFER, values).scalar_one())


def is_queued_already(error: IntegrityError) -> bool:
    """Say whether `error` means that a job with the same queueing lock waits."""
    original = error.orig
    return isinstance(original, psycopg.errors.UniqueViolation) and original.diag.constraint_name == _ONE_WAITING


def counts(conn: Connection) -> dict[str, int]:
    """Return how many jobs are in each state: todo, doing, succeeded, failed and others."""
    return {str(row[0]): int(row[1]) for row in conn.execute(_COUNTS)}


def last_heartbeat(conn: Connection) -> datetime | None:
    """Return when a worker was last heard of; None while none runs."""
    return conn.execute(_LAST_HEARTBEAT).scalar_one()


def others_wait(conn: Connection, task_name: str) -> bool:
    """Say whether a job of another task than `task_name` could run now."""
    return bool(conn.execute(_OTHERS_WAIT, {"task_name": task_name}).scalar_one())


def unfinished(conn: Connection, limit: int = 50) -> list[QueuedJob]:
    """Return the jobs that have not succeeded, the newest first."""
    return [QueuedJob(*row) for row in conn.execute(_UNFINISHED, {"limit": limit})]
