"""Waking the worker once a request that has work for it is committed."""

from sqlalchemy import Connection

from ...jobs.app import defer_in
from ...web import tenant

BOOK = "book_card_payments"  # the task's name


def wake_after_commit() -> None:
    """Let the worker look at what waits in this request's workspace."""
    tenant.after_commit(_wake)


def queue(control: Connection, tenant_id: str) -> None:
    """Queue a look at what waits in a workspace."""
    defer_in(control, BOOK, queueing_lock=f"{BOOK} {tenant_id}", tenant_id=tenant_id)


def _wake(_conn: Connection) -> None:
    with tenant.platform().control.begin() as control:
        queue(control, tenant.tenant().id)
