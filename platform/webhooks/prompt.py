"""From a request: the event in its transaction, and the worker woken once that is committed."""

from collections.abc import Callable, Iterable

from flask import g
from sqlalchemy import Connection

from ..jobs.app import HOOKS, defer_in
from ..web import tenant
from .events import Data, emit_each

DELIVER = "deliver_webhooks"  # the task's name


def announce(event_type: str, data: Data) -> None:
    """Tell the workspace's endpoints that something happened, if the request's transaction is committed."""
    announce_each(event_type, lambda: (data,))


def announce_each(event_type: str, rows: Callable[[], Iterable[Data]]) -> None:
    """Do as `announce` for each of `rows`, which is asked only where an endpoint subscribes."""
    if emit_each(tenant.connection(), tenant.cipher(), event_type, rows):
        wake_after_commit()


def wake_after_commit() -> None:
    """Let the worker deliver at once what this request has written."""
    if not g.get("webhooks_wake"):
        g.webhooks_wake = True
        tenant.after_commit(_wake)


def queue_delivery(control: Connection, tenant_id: str) -> None:
    """Queue the delivery of what waits in a workspace; one that waits already does as well."""
    defer_in(control, DELIVER, queueing_lock=f"{DELIVER} {tenant_id}", queue=HOOKS, tenant_id=tenant_id)


def _wake(_conn: Connection) -> None:
    with tenant.platform().control.begin() as control:
        queue_delivery(control, tenant.tenant().id)
