"""Asking for the pool of spares to be filled up; who asks need not know how that is done."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from ..platform.jobs.app import defer_in

REFILL = "refill_spares"  # the task, known to the worker


def queue_refill(conn: Connection, after: timedelta | None = None) -> None:
    """Queue the refill in the open transaction of `conn`, `after` a while; one that waits already is enough."""
    defer_in(conn, REFILL, lock=REFILL, queueing_lock=REFILL, run_at=datetime.now(UTC) + after if after else None)
