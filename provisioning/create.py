"""Provisioning a workspace: one visible list of steps, each of which may be repeated.

A worker killed at any point leaves a pending tenant; whoever runs `provision` for it next goes through the same list
again, finds what is there, and makes what is missing.
"""

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ..config.errors import FailedError, RefusedError, StrongroomError
from ..platform.control.platform import Platform
from ..platform.mail.delivery import deliver_waiting
from ..platform.servers import queries as servers
from ..platform.servers.records import Server
from ..platform.tenants import placements
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import Placement, PlacementState, Tenant
from ..platform.tenants.requests import invitation_link, request_tenant
from ..platform.tenants.states import TenantState
from ..tenant_schema.migrate import newest_revision
from . import database
from .gates import adopt_objects
from .invitation import invite_owner
from .isolation.outside import placement_findings
from .names import Names
from .placements import make_database, make_roles
from .schema import upgrade_schema
from .sessions import Session, provisioner

PATIENCE = 20.0  # seconds to wait for another worker's lock

__all__ = ["STEPS", "Work", "invitation_link", "provision", "request_tenant", "tenant_lock"]


class Work:
    """What the steps share: the tenant, its placement, and one session of the provisioner."""

    def __init__(self, platform: Platform, tenant: Tenant, placement: Placement, server: Server) -> None:
        self.platform = platform
        self.tenant = tenant
        self.placement = placement
        self.server = server
        self.names = Names(placement.id)
        self._stack = ExitStack()
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The provisioner's session on the tenant's server, opened when first needed."""
        if self._session is None:
            self._session = self._stack.enter_context(provisioner(self.platform, self.server))
        return self._session

    def close(self) -> None:
        """End the session."""
        self._stack.close()


def provision(platform: Platform, tenant_id: str) -> Tenant:
    """Bring a pending tenant to `active` and return it; a tenant that is active already is returned as it is.

    Raises `RefusedError` when another worker takes too long over it, `FailedError` with the reason, which is recorded.
    """
    with tenant_lock(platform, tenant_id):
        with platform.control.connect() as conn:
            tenant = tenants.by_id(conn, tenant_id)
        if tenant.state is not TenantState.PENDING:
            return tenant
        _run(platform, tenant)
        ready = platform.registry.tenant_by_id(tenant_id)
        deliver_waiting(platform, ready)  # the owner's letter; the worker's periodic delivery sends what this did not
        return ready


def _run(platform: Platform, tenant: Tenant) -> None:
    try:
        work = _place(platform, tenant)
        try:
            for step in STEPS:
                step(work)
        finally:
            work.close()
    except (StrongroomError, psycopg.Error, DBAPIError) as error:
        sentence = str(error) if isinstance(error, StrongroomError) else "The database server refused a step."
        with platform.control.begin() as conn:
            tenants.set_failure(conn, tenant.id, sentence)
        if isinstance(error, StrongroomError):
            raise
        raise FailedError(f"The workspace “{tenant.slug}” could not be set up: {sentence}") from error


def _place(platform: Platform, tenant: Tenant) -> Work:
    """Choose a server, or go on with the placement that an earlier try began."""
    with platform.control.begin() as conn:
        begun = [p for p in placements.of_tenant(conn, tenant.id) if p.state in _UNFINISHED]
        placement = begun[0] if begun else placements.new(conn, servers.choose(conn, tenant.region).name, tenant.id)
        server = servers.by_name(conn, placement.server)
    return Work(platform, tenant, placement, server)


_TRY_LOCK = text("SELECT pg_try_advisory_lock(hashtextextended(:key, 0))")
_UNLOCK = text("SELECT pg_advisory_unlock(hashtextextended(:key, 0))")
_UNFINISHED = {PlacementState.BUILDING, PlacementState.READY}


def make_keys(work: Work) -> None:
    """Make data key, blind-index key and backup identity of the tenant, and the login of its database."""
    work.platform.keys.create_tenant(work.tenant.id)
    work.platform.keys.create_placement(work.placement.id)


def make_tenant_roles(work: Work) -> None:
    """Make the tenant's login and the owner of its tables."""
    make_roles(work.platform, work.session, work.names)


def copy_template(work: Work) -> None:
    """Make the database; nobody can connect to it yet."""
    make_database(work.platform, work.server, work.session, work.names)


def shut_gates(work: Work) -> None:
    """Take everything from PUBLIC before the first connection is allowed, which is the migrator's."""
    database.open_to_migrator(work.session, work.names)


def bring_schema(work: Work) -> None:
    """Hand the template's tables to the tenant's own roles; a copy made by an older release is upgraded."""
    if adopt_objects(work.platform, work.server, work.placement.id) != newest_revision():
        upgrade_schema(work.platform, work.server, work.names.database, work.names.owner)
        adopt_objects(work.platform, work.server, work.placement.id)


def let_tenant_in(work: Work) -> None:
    """Let the tenant's login connect, and check that nobody else can."""
    database.open_to_tenant(work.session, work.names)
    found = placement_findings(work.session, [work.names])
    if found:
        raise FailedError(f"The new database is not closed: {found[0].where} {found[0].sentence}.")


def write_invitation(work: Work) -> None:
    """Write the owner's invitation as the tenant itself: the first proof that its login works."""
    at_home = replace(work.tenant, placement_id=work.placement.id, server=work.server.name)
    invite_owner(work.platform, at_home)


def activate(work: Work) -> None:
    """Switch the tenant to its database and open it, in one transaction."""
    with work.platform.control.begin() as conn:
        placements.set_schema_revision(conn, work.placement.id, newest_revision())
        placements.set_state(conn, work.placement.id, PlacementState.READY)
        tenants.set_placement(conn, work.tenant.id, work.placement.id)
        tenants.set_state(conn, work.tenant.id, TenantState.ACTIVE)
        tenants.set_owner_email(conn, work.tenant.id, None)
        tenants.set_failure(conn, work.tenant.id, None)


STEPS: tuple[Callable[[Work], None], ...] = (
    make_keys,
    make_tenant_roles,
    copy_template,
    shut_gates,
    bring_schema,
    let_tenant_in,
    write_invitation,
    activate,
)


@contextmanager
def tenant_lock(platform: Platform, tenant_id: str) -> Generator[None]:
    """Hold the tenant's life cycle for this process alone; the lock ends with the process, however that ends.

    Raises `RefusedError` when another worker still holds it after `PATIENCE` seconds.
    """
    key = {"key": f"tenant:{tenant_id}"}
    deadline = time.monotonic() + PATIENCE
    with platform.control.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        while not conn.execute(_TRY_LOCK, key).scalar_one():
            if time.monotonic() > deadline:
                raise RefusedError("Another worker is changing this workspace right now; wait for it to finish.")
            time.sleep(0.05)
        try:
            yield
        finally:
            conn.execute(_UNLOCK, key)
