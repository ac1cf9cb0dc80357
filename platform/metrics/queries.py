"""SQL about what all processes do. The caller owns the transaction. Nothing here names a customer."""

from datetime import datetime

from sqlalchemy import Connection, and_, func, select

from ..control.tables import (
    backup,
    backup_copy,
    base_backup,
    connection_lease,
    placement,
    process,
    server,
    tenant,
    verification,
)
from .records import Lease, ServerPlaces, StoreCopies, Verification

_LEASES = (
    select(
        connection_lease.c.process_id,
        process.c.kind,
        connection_lease.c.server_name,
        connection_lease.c.connections,
        connection_lease.c.wanted,
        connection_lease.c.counters,
    )
    .join(process, process.c.id == connection_lease.c.process_id)
    .where(connection_lease.c.lease_until > func.now())
    .order_by(connection_lease.c.server_name, process.c.kind, process.c.started_at, process.c.id)
)
_held = placement.c.server_name == server.c.name
_DATABASES = select(func.count()).where(_held, placement.c.state != "dropped").scalar_subquery()
_SPARES = (
    select(func.count()).where(_held, placement.c.state == "ready", placement.c.tenant_id.is_(None)).scalar_subquery()
)
_SERVERS = select(server.c.name, server.c.connection_limit, _DATABASES, _SPARES).order_by(server.c.name)
_TENANTS = select(tenant.c.state, func.count()).group_by(tenant.c.state)
_NEWEST_VERIFIED = select(func.max(backup.c.verified_at)).where(backup.c.kind == "tenant")
_held_there = backup_copy.c.state == "stored"
_waits = and_(~_held_there, backup.c.state.in_(("stored", "verified")))
_COPIES = (
    select(
        backup_copy.c.store,
        func.count().filter(_held_there),
        func.count().filter(_waits),
        func.min(backup.c.started_at).filter(_waits),
        func.max(backup_copy.c.failure).filter(_waits),
    )
    .join(backup, backup.c.id == backup_copy.c.backup_id)
    .group_by(backup_copy.c.store)
    .order_by(backup_copy.c.store)
)
_NEWEST_BASE = (
    select(base_backup.c.server_name, func.max(base_backup.c.finished_at))
    .where(base_backup.c.state == "stored")
    .group_by(base_backup.c.server_name)
    .order_by(base_backup.c.server_name)
)
_ISOLATION = (
    select(verification.c.at, verification.c.passed)
    .where(verification.c.kind == "isolation")
    .order_by(verification.c.id.desc())
    .limit(1)
)


def leases(conn: Connection) -> list[Lease]:
    """Return the shares of all living processes, by server; one that was not renewed in time is not among them."""
    return [Lease(*row) for row in conn.execute(_LEASES)]


def servers(conn: Connection) -> list[ServerPlaces]:
    """Return what each server holds, by its name."""
    return [ServerPlaces(*row) for row in conn.execute(_SERVERS)]


def tenants(conn: Connection) -> dict[str, int]:
    """Return how many tenants are in each state."""
    return {str(row[0]): int(row[1]) for row in conn.execute(_TENANTS)}


def newest_verified_backup(conn: Connection) -> datetime | None:
    """Return when the last backup of a tenant was proved; None before the first one."""
    return conn.execute(_NEWEST_VERIFIED).scalar_one()


def store_copies(conn: Connection) -> list[StoreCopies]:
    """Return what each backup store holds, by its name; of one that has never had anything there is no word."""
    return [StoreCopies(*row) for row in conn.execute(_COPIES)]


def newest_base_backups(conn: Connection) -> dict[str, datetime]:
    """Return when the newest base backup of each server was finished."""
    return {str(row[0]): row[1] for row in conn.execute(_NEWEST_BASE)}


def last_isolation_verification(conn: Connection) -> Verification | None:
    """Return the newest verification of isolation; None before the first one."""
    row = conn.execute(_ISOLATION).one_or_none()
    return None if row is None else Verification(row[0], row[1])
