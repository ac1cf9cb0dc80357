"""SQL over the catalogue of backups, as far as a customer sees it. Runs on the control database."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, case, func, select

from ...control.tables import backup, region, tenant


@dataclass(frozen=True, slots=True)
class BackupLine:
    """One backup of the workspace. `size` in bytes.

    `verified_at`: when its restore was last proved; of a finding that nothing has changed that of the backup before.
    """

    state: str
    started_at: datetime
    size: int | None
    receipts: int | None
    verified_at: datetime | None


_base = backup.alias("base")
_RECENT = (
    select(
        backup.c.state,
        backup.c.started_at,
        backup.c.bytes,
        func.coalesce(backup.c.receipts, _base.c.receipts),
        case(
            (
                func.coalesce(_base.c.state, backup.c.state) == "verified",
                func.coalesce(_base.c.verified_at, backup.c.verified_at),
            )
        ),
    )
    .select_from(backup.outerjoin(_base, _base.c.id == backup.c.unchanged_since))
    .where(backup.c.tenant_id == bindparam("tenant_id"))
    .order_by(backup.c.started_at.desc())
    .limit(bindparam("how_many"))
)
_REGION = (
    select(func.coalesce(region.c.name, region.c.id))
    .select_from(tenant.join(region, region.c.id == tenant.c.region_id))
    .where(tenant.c.id == bindparam("tenant_id"))
)


def recent_backups(conn: Connection, tenant_id: str, how_many: int = 20) -> list[BackupLine]:
    """The latest backups of a workspace, newest first."""
    return [BackupLine(*row) for row in conn.execute(_RECENT, {"tenant_id": tenant_id, "how_many": how_many})]


def region_of(conn: Connection, tenant_id: str) -> str:
    """Where the workspace's data and its backups are, in words."""
    return conn.execute(_REGION, {"tenant_id": tenant_id}).scalar_one()
