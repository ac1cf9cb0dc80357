"""Acting upon what the payment processor told us. Importing it registers the tasks.

A message changes the control database and is noted in the workspace's own audit log, in two databases: the workspace's
note is written first, once, while the message is locked; the change, its note for the operators and the end of the
message are one transaction.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from ...config.errors import FailedError
from ...tenant_schema.queries import audit as workspace_audit
from ..audit import queries as audit
from ..control.platform import Platform
from ..jobs.app import defer_in, periodic, task
from ..tenants import queries as tenants
from ..tenants.records import Tenant
from ..tenants.states import TenantState
from . import queries
from .messages import METHOD_CHANGED, PLAN_CHANGED
from .queries import Event

PROCESS: Final = "process_payment_event"
ACTOR: Final = "payment processor"
_KEPT: Final = timedelta(days=90)
_LOST: Final = timedelta(minutes=5)  # a message that waits longer has no job any more


def queue(control: Connection, event_id: int) -> None:
    """Queue what a stored message asks for."""
    defer_in(control, PROCESS, queueing_lock=f"{PROCESS} {event_id}", event_id=event_id)


@task(PROCESS)
def process_payment_event(platform: Platform, event_id: int) -> None:
    """Do what a message asks for, once. One about a workspace that is not open waits until it is."""
    with platform.control.begin() as control:
        event = queries.lock(control, event_id)
        if event is None or event.processed_at is not None:
            return
        queries.finish(control, event_id, _apply(platform, control, event))


@periodic("*/10 * * * *", "find_payment_events")
def find_payment_events(platform: Platform) -> None:
    """Queue the messages whose job was lost, or that waited for their workspace; forget those of last quarter."""
    with platform.control.begin() as control:
        for event_id in queries.unfinished(control, _LOST):
            queue(control, event_id)
        queries.forget(control, _KEPT)


def _apply(platform: Platform, control: Connection, event: Event) -> str | None:
    """Return None, or why the message changes nothing."""
    if event.tenant_id is None:
        return "no such workspace"
    tenant = tenants.lock(control, event.tenant_id)
    if tenant.state is TenantState.ERASED:
        return "the workspace is erased"
    if tenant.state is not TenantState.ACTIVE:
        raise FailedError(f"The workspace “{tenant.slug}” is {tenant.state}; its payment events wait.")
    if queries.is_overtaken(control, event):
        return "something later is known"
    if event.type == PLAN_CHANGED:
        return _change_plan(platform, control, tenant, event)
    if event.type == METHOD_CHANGED:
        queries.set_method(control, tenant.id, event.content, event.occurred_at)
        audit.record(control, ACTOR, "payment_method.changed", tenant.id, {"event": event.external_id})
    return None


def _change_plan(platform: Platform, control: Connection, tenant: Tenant, event: Event) -> str | None:
    plan = event.content["plan"]
    if plan not in tenants.plans_and_regions(control)[0]:
        return "no such plan"
    if plan == tenant.plan:
        return None
    detail = {"from": tenant.plan, "to": plan, "event": event.external_id}
    with platform.registry.connect(tenant) as own, own.begin():
        if not workspace_audit.is_noted(own, "workspace.plan_changed", event.received_at, {"event": event.external_id}):
            workspace_audit.record(own, None, "workspace.plan_changed", detail=detail)
    tenants.set_plan(control, tenant.id, plan)
    audit.record(control, ACTOR, "tenant.plan_changed", tenant.id, detail)
    return None
