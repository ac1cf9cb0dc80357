"""SQL of what `unchanged` needs of the catalogue: the newest verified dumps, and entries that refer to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Text, column, func, literal, select, values

from ..platform.control.tables import backup, placement, tenant
from ..provisioning.names import Names
from .fingerprint import Fingerprint
from .records import BackupState

_DUMPED = (BackupState.STORED, BackupState.VERIFIED)
_LIVES_WHERE_IT_WAS = (
    (tenant.c.id == backup.c.tenant_id)
    & (tenant.c.placement_id == backup.c.placement_id)
    & tenant.c.state.in_(("active", "suspended"))
)


@dataclass(frozen=True, slots=True)
class Proved:
    """A verified backup of a tenant, and where the database that it was made of lies."""

    id: str
    tenant_id: str
    region: str  # of the tenant
    object: str | None
    server: str
    database: str
    fingerprint: Fingerprint | None
    started_at: datetime


def newest_proved(conn: Connection, tenant_ids: Sequence[str]) -> list[Proved]:
    """Return each tenant's newest dump, where it is verified and of the database that the tenant lives in now."""
    newest = (
        select(backup.c.tenant_id, func.max(backup.c.started_at).label("at"))
        .where(backup.c.tenant_id.in_(tenant_ids), backup.c.state.in_(_DUMPED))
        .group_by(backup.c.tenant_id)
        .subquery()
    )
    query = (
        select(
            backup.c.id,
            backup.c.tenant_id,
            tenant.c.region_id,
            backup.c.object,
            placement.c.server_name,
            placement.c.id,
            backup.c.fingerprint,
            backup.c.started_at,
        )
        .join(newest, (newest.c.tenant_id == backup.c.tenant_id) & (newest.c.at == backup.c.started_at))
        .join(tenant, _LIVES_WHERE_IT_WAS)
        .join(placement, placement.c.id == tenant.c.placement_id)
        .where(backup.c.state == BackupState.VERIFIED, backup.c.receipts_lost == 0)  # they may be back by now
    )
    return [
        Proved(backup_id, tenant_id, region, name, server, Names(pid).database, fingerprint, started_at)
        for backup_id, tenant_id, region, name, server, pid, fingerprint, started_at in conn.execute(query)
    ]


def add_unchanged(
    conn: Connection, entries: Sequence[tuple[str, str]], started_at: datetime, finished_at: datetime
) -> set[str]:
    """Record for pairs of a new id and that of a verified backup that nothing has changed since; return the new ids.

    `entries`: at least one. Left out is one whose backup, or the place where its tenant lives, is another by now.
    """
    pairs = values(column("id", Text), column("of", Text), name="pair").data(list(entries))
    rows = (
        select(
            pairs.c.id,
            backup.c.tenant_id,
            backup.c.kind,
            literal(BackupState.UNCHANGED.value),
            backup.c.id,
            backup.c.placement_id,
            backup.c.schema_revision,
            literal(started_at),
            literal(finished_at),
        )
        .join(backup, backup.c.id == pairs.c.of)
        .join(tenant, _LIVES_WHERE_IT_WAS)
        .where(backup.c.state == BackupState.VERIFIED)
    )
    columns = ["id", "tenant_id", "kind", "state", "unchanged_since", "placement_id", "schema_revision"]
    insert = backup.insert().from_select([*columns, "started_at", "finished_at"], rows)
    return set(conn.scalars(insert.returning(backup.c.id)))
