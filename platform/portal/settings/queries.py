"""SQL over the catalogue of backups, as far as a customer sees it. Runs on the control database."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select

from ...control.tables import backup, plan, region, tenant


@dataclass(frozen=True, slots=True)
class BackupLine:
    """One backup of the workspace. `size` in bytes."""

    state: str
    started_at: datetime
    size: int | None
    receipts: int | None
    verified_at: datetime | None


@dataclass(frozen=True, slots=True)
class Terms:
    """What the workspace is promised. The two numbers are None where the installation's settings count."""

    interval_hours: int | None
    retention_days: int | None
    region: str


_RECENT = (
    select(
        backup.c.state,
        backup.c.started_at,
        backup.c.bytes,
        backup.c.receipts,
        backup.c.verified_at,
    )
    .where(backup.c.tenant_id == bindparam("tenant_id"))
    .order_by(backup.c.started_at.desc())
    .limit(bindparam("how_many"))
)
_TERMS = (
    select(plan.c.backup_interval_hours, plan.c.backup_retention_days, func.coalesce(region.c.name, region.c.id))
    .select_from(tenant.join(plan, plan.c.id == tenant.c.plan_id).join(region, region.c.id == tenant.c.region_id))
    .where(tenant.c.id == bindparam("tenant_id"))
)


def recent_backups(conn: Connection, tenant_id: str, how_many: int = 20) -> list[BackupLine]:
    """The latest backups of a workspace, newest first."""
    return [BackupLine(*row) for row in conn.execute(_RECENT, {"tenant_id": tenant_id, "how_many": how_many})]


def terms(conn: Connection, tenant_id: str) -> Terms:
    """How often the workspace is backed up, how long copies are kept, and where it is."""
    return Terms(*conn.execute(_TERMS, {"tenant_id": tenant_id}).one())
