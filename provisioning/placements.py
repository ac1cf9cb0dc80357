"""Placements: a database, its roles and its login on one server. A restore, clone or move makes a new one."""

import psycopg
from psycopg import sql
from sqlalchemy import Connection

from ..config.errors import FailedError, RefusedError
from ..platform.control.platform import Platform
from ..platform.servers import queries as servers
from ..platform.servers.records import Server
from ..platform.tenants import placements
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import Placement, PlacementState, Tenant
from ..platform.tenants.states import TenantState
from ..tenant_schema.tables import SCHEMA
from . import database
from .gates import adopt_objects, close_gates, verify_gates
from .names import Names
from .sessions import Session, migrator, provisioner
from .template import ready_template

_HOLDER = "SELECT r.rolname FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner WHERE n.nspname = %s"
CONNECTION_LIMIT = 100  # of one login, all processes together; the registry's own ceiling is far lower


def prepare_database(
    platform: Platform,
    server_name: str,
    tenant_id: str | None = None,
    *,
    empty: bool = False,
    placement_id: str | None = None,
) -> Placement:
    """Make a new placement, in state `building`, that only the migrator can enter.

    Without a tenant the caller chooses the `placement_id` and holds its `spare_lock`, or it counts as given up soon;
    where it is that of a spare that was claimed (`new_home`), its database is there and only opened to the migrator.
    `empty`: the schema `app` has nothing in it and belongs to the owner role, for a restore. The caller fills it, calls
    `finish_database` and then `switch_placement`; or `drop_placement` when something failed.
    """
    with platform.control.begin() as conn:
        server = servers.by_name(conn, server_name)
        known = placements.find(conn, placement_id) if placement_id else None
        placement = known or placements.new(conn, server.name, tenant_id, placement_id)
    names = Names(placement.id)
    with provisioner(platform, server) as session:
        if known is None:
            make_roles(platform, session, names)
            make_database(platform, server, session, names)
        database.open_to_migrator(session, names)
    if empty:
        _empty(platform, server, names)
    return placement


def finish_database(platform: Platform, pid: str, revision: str | None) -> None:
    """Set owners and grants of a filled placement, close its gates, check them, and call it `ready`.

    `revision`: the tenant schema's revision inside. Raises `VerificationError` if a gate is open.
    """
    with platform.control.begin() as conn:
        server = servers.by_name(conn, placements.by_id(conn, pid).server)
    adopt_objects(platform, server, pid)
    close_gates(platform, server, pid)
    verify_gates(platform, server, pid)
    with platform.control.begin() as conn:
        if revision:
            placements.set_schema_revision(conn, pid, revision)
        placements.set_state(conn, pid, PlacementState.READY)


def switch_placement(conn: Connection, tenant: Tenant, pid: str) -> Tenant:
    """Make the `ready` placement `pid` the tenant's current one in the caller's transaction; the old one is retired.

    Every process sees the new generation within `tenant_cache_seconds`; set the tenant `restoring` that long before,
    so that no request writes to the old database after it was copied.
    """
    return tenants.set_placement(conn, tenant.id, pid)


def make_roles(platform: Platform, session: Session, names: Names) -> None:
    """Make the placement's login and owner role; the server gets a SCRAM verifier, never a password. Idempotent."""
    credential = platform.keys.create_placement(names.pid)
    database.make_roles(session, names, credential.verifier, CONNECTION_LIMIT)


def make_database(platform: Platform, server: Server, session: Session, names: Names) -> None:
    """Copy the template, which is brought up to date first, to a database that lets nobody in. Idempotent."""
    with ready_template(platform, server, session):
        database.create(session, names)


def drop_placement(platform: Platform, pid: str) -> None:
    """Remove database, roles and login of a placement, in this order, for good. Idempotent.

    Raises `FailedError` when the database is still there; the row then stays `dropping` and the next call goes on.
    Raises `RefusedError` for the current placement of a tenant that is not erased.
    """
    with platform.control.begin() as conn:
        placement = placements.locked(conn, pid)
        server = servers.by_name(conn, placement.server)
        _refuse_current(conn, placement)
        placements.set_state(conn, pid, PlacementState.DROPPING)
    names = Names(pid)
    try:
        with provisioner(platform, server) as session:
            database.fence(session, names)
            database.drop(session, names)
            database.drop_roles(session, names)
    except psycopg.Error as error:
        raise FailedError(f"The database {names.database} could not be dropped; try again.") from error
    platform.keys.destroy_placement(pid)
    with platform.control.begin() as conn:
        placements.set_state(conn, pid, PlacementState.DROPPED)


def _refuse_current(conn: Connection, placement: Placement) -> None:
    if placement.tenant_id:
        tenant = tenants.by_id(conn, placement.tenant_id)
        if tenant.placement_id == placement.id and tenant.state is not TenantState.ERASED:
            raise RefusedError(f"The database {placement.database} is the one that “{tenant.slug}” lives in.")


def _empty(platform: Platform, server: Server, names: Names) -> None:
    """The template's schema goes; where a spare was claimed, it belongs to the owner already."""
    with migrator(platform, server, names.database) as session, session.transaction():
        schema = sql.Identifier(SCHEMA)
        for (holder,) in session.execute(_HOLDER, (SCHEMA,)).fetchall():
            session.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(holder)))
            session.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(schema))
        session.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(names.owner)))
        session.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
