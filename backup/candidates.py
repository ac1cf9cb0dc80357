"""SQL of what decides whose backup is due (tables `backup` and `tenant` of the control database)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, Connection, and_, case, exists, func, or_, select, text

from ..platform.control.tables import backup, tenant
from ..platform.protection.policy import Policy
from .catalogue import LONGEST_LEASE
from .due import CLOCK_ERROR, Candidate
from .records import BackupState

_CONTROL = ""  # stands for the control database, which is no tenant's: joins on null would read every row every time
_key = func.coalesce(backup.c.tenant_id, _CONTROL)


def candidates(conn: Connection, policies: Mapping[str, Policy], control: Policy, now: datetime) -> list[Candidate]:
    """Return what decides when each tenant with a database, and the control database, is due.

    Tenants that are being backed up right now are left out. `policies` are those of the plans, `control` that of the
    control database. What a wrong clock has dated into the future of `now` is not looked at.
    """
    history = _history(now)
    failures = _failures(history, now)
    facts = (history.c.good, history.c.tried, func.coalesce(failures.c.count, 0))
    placed = (
        select(tenant.c.id, tenant.c.plan_id, *facts)
        .outerjoin(history, history.c.key == tenant.c.id)
        .outerjoin(failures, failures.c.key == tenant.c.id)
        .where(tenant.c.placement_id.is_not(None), tenant.c.state.in_(("active", "suspended")), ~_at_work(tenant.c.id))
    )
    found = [
        Candidate(tenant_id, policies[plan].interval, good, tried, count, policies[plan].window)
        for tenant_id, plan, good, tried, count in conn.execute(placed)
    ]
    of_control = select(*facts).outerjoin(failures, failures.c.key == history.c.key).where(history.c.key == _CONTROL)
    good, tried, count = conn.execute(of_control).first() or (None, None, 0)
    return [*found, Candidate(None, control.interval, good, tried, count, control.window)]


def _history(now: datetime) -> CTE:
    """When each tenant was last backed up and it counts, and when that was last tried."""
    base = backup.alias("base")
    counts = or_(
        backup.c.state.in_((BackupState.STORED, BackupState.VERIFIED)),
        and_(backup.c.state == BackupState.UNCHANGED, base.c.state == BackupState.VERIFIED),
    )
    return (
        select(
            _key.label("key"),
            func.max(case((counts, backup.c.started_at))).label("good"),
            func.max(backup.c.started_at).label("tried"),
        )
        .select_from(backup.outerjoin(base, base.c.id == backup.c.unchanged_since))
        .where(backup.c.started_at <= now + CLOCK_ERROR)
        .group_by(text("key"))
        .cte("history")
    )


def _failures(history: CTE, now: datetime) -> CTE:
    """How many backups of each tenant have failed since the last one that counts."""
    since = func.coalesce(history.c.good, text("'-infinity'::timestamptz"))
    return (
        select(history.c.key, func.count().label("count"))
        .join(backup, _key == history.c.key)
        .where(backup.c.state == BackupState.FAILED)
        .where(backup.c.started_at > since, backup.c.started_at <= now + CLOCK_ERROR)
        .group_by(history.c.key)
        .cte("failures")
    )


def _at_work(tenant_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """A backup of this tenant is being made right now."""
    alive = backup.c.lease_until.between(func.now(), func.now() + LONGEST_LEASE)
    return exists().where(backup.c.tenant_id == tenant_id, backup.c.state == BackupState.RUNNING, alive)
