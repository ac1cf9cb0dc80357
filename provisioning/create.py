"""Provisioning a workspace: one visible list of steps, each of which may be repeated.

Where a spare database is ready, the workspace takes it, and only what is the tenant's own is left to do. A worker
killed at any point leaves a pending tenant; whoever runs `provision` for it next goes through the same list again,
finds what is there, and makes what is missing.
"""

from collections.abc import Callable, Collection, Generator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import replace

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ..config.errors import BusyError, FailedError, StrongroomError, UnavailableError
from ..platform.control.platform import Platform
from ..platform.mail.delivery import send_soon
from ..platform.servers import queries as servers
from ..platform.servers.records import Server
from ..platform.tenants import placements
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import Placement, PlacementState, Tenant
from ..platform.tenants.requests import invitation_link, request_tenant
from ..platform.tenants.states import TenantState
from ..tenant_schema.migrate import newest_revision
from .building import BUILDING, Sessions, Site, provisioner_sessions
from .invitation import invite_owner
from .locking import held
from .refilling import queue_refill

PATIENCE = 20.0  # seconds to wait for another worker's lock

__all__ = ["STEPS", "Work", "invitation_link", "provision", "request_tenant", "tenant_lock"]


class Work(Site):
    """What the steps share: the tenant, its placement, the provisioner's session, and the tenant's own connection."""

    def __init__(
        self, platform: Platform, tenant: Tenant, placement: Placement, server: Server, sessions: Sessions
    ) -> None:
        super().__init__(platform, server, placement, sessions)
        self.tenant = tenant
        self._own = ExitStack()
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """A connection to the new database as the tenant's own role: the first proof that its login works."""
        if self._connection is None:
            at_home = replace(self.tenant, placement_id=self.placement.id, server=self.server.name)
            connect = self.platform.registry.connect(at_home, before_opening=True)
            self._connection = self._own.enter_context(connect)
        return self._connection

    def close(self) -> None:
        """Close the connection, if it was opened."""
        self._own.close()


def provision(platform: Platform, tenant_id: str, sessions: Sessions | None = None) -> Tenant:
    """Bring a pending tenant to `active` and return it; a tenant that is active already is returned as it is.

    `sessions`: the provisioner's, kept by a caller who provisions many. Raises `BusyError` when another worker takes
    too long over it, `UnavailableError` when no server of the region can take it, `RefusedError` when newer code has
    upgraded the server's template, `FailedError` with the reason; each but the first is recorded.
    """
    with tenant_lock(platform, tenant_id):
        with platform.control.connect() as conn:
            tenant = tenants.by_id(conn, tenant_id)
        if tenant.state is not TenantState.PENDING:
            return tenant
        with provisioner_sessions(platform) if sessions is None else nullcontext(sessions) as open_sessions:
            _run(platform, tenant, open_sessions)
        return platform.registry.tenant_by_id(tenant_id)


def _run(platform: Platform, tenant: Tenant, sessions: Sessions) -> None:
    try:
        _run_somewhere(platform, tenant, sessions)
    except (StrongroomError, psycopg.Error, DBAPIError) as error:
        sentence = str(error) if isinstance(error, StrongroomError) else "The database server refused a step."
        with platform.control.begin() as conn:
            tenants.set_failure(conn, tenant.id, sentence)
        if isinstance(error, StrongroomError):
            raise
        raise FailedError(f"The workspace “{tenant.slug}” could not be set up: {sentence}") from error


def _run_somewhere(platform: Platform, tenant: Tenant, sessions: Sessions) -> None:
    """Go through the steps on the server with the most room; on the next one where that fails for want of a server."""
    tried: set[str] = set()
    while True:
        with closing(_place(platform, tenant, sessions, tried)) as work:
            try:
                for step in _steps(work):
                    step(work)
            except (UnavailableError, psycopg.OperationalError, DBAPIError) as error:
                tried.add(work.server.name)
                if not _lacks_server(error) or not _give_up_placement(platform, work, tried):
                    raise
            else:
                send_soon(work.connection, platform, tenant)  # the periodic delivery sends what this does not
                return


def _place(platform: Platform, tenant: Tenant, sessions: Sessions, avoid: Collection[str]) -> Work:
    """Go on with the placement that an earlier try began, or claim a spare, or choose a server to make one on."""
    with platform.control.begin() as conn:
        placement = _begun(conn, tenant) or _claimed(conn, tenant, avoid)
        if placement is None:
            placement = placements.new(conn, servers.choose(conn, tenant.region, avoid).name, tenant.id)
        server = servers.by_name(conn, placement.server)
    return Work(platform, tenant, placement, server, sessions)


def _begun(conn: Connection, tenant: Tenant) -> Placement | None:
    begun = [one for one in placements.of_tenant(conn, tenant.id) if one.state in _UNFINISHED]
    return begun[0] if begun else None


def _claimed(conn: Connection, tenant: Tenant, avoid: Collection[str]) -> Placement | None:
    claimed = placements.claim_spare(conn, tenant.id, tenant.region, newest_revision(), avoid)
    if claimed is not None:
        queue_refill(conn)
    return claimed


def _steps(work: Work) -> tuple[Callable[[Work], None], ...]:
    """All of them, unless the placement was a spare, which is finished but for what is the tenant's own.

    After a failure all of them again: what is there stays, and what the server has lost is made anew.
    """
    placement = work.placement
    finished = placement.state is PlacementState.READY and placement.schema_revision == newest_revision()
    return CLAIMED_STEPS if finished and work.tenant.failure is None else STEPS


def _lacks_server(error: Exception) -> bool:
    """Whether another server may do better: this one does not answer, or has no room left."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, UnavailableError | psycopg.OperationalError)


def _give_up_placement(platform: Platform, work: Work, tried: Collection[str]) -> bool:
    """Leave the placement to the job that drops what is left over; False where there is no other server to go to.

    A claimed spare is dropped, too: it may hold the invitation by now, and a spare never holds anybody's data.
    """
    with platform.control.begin() as conn:
        try:
            servers.choose(conn, work.tenant.region, tried)
        except UnavailableError:
            return False
        placements.set_state(conn, work.placement.id, PlacementState.DROPPING)
    return True


_UNFINISHED = {PlacementState.BUILDING, PlacementState.READY}


def make_tenant_keys(work: Work) -> None:
    """Make data key, blind-index key and backup identity of the tenant."""
    work.platform.keys.create_tenant(work.tenant.id)


def write_invitation(work: Work) -> None:
    """Write the owner's invitation as the tenant itself."""
    invite_owner(work.connection, work.platform, work.tenant)


def activate(work: Work) -> None:
    """Switch the tenant to its database and open it, in one transaction."""
    with work.platform.control.begin() as conn:
        tenants.open_in(conn, work.tenant.id, work.placement.id, newest_revision())


CLAIMED_STEPS: tuple[Callable[[Work], None], ...] = (make_tenant_keys, write_invitation, activate)
STEPS: tuple[Callable[[Work], None], ...] = (make_tenant_keys, *BUILDING, write_invitation, activate)


@contextmanager
def tenant_lock(platform: Platform, tenant_id: str) -> Generator[None]:
    """Hold the tenant's life cycle for this process alone; the lock ends with the process, however that ends.

    Raises `BusyError` when another worker still holds it after `PATIENCE` seconds.
    """
    with held(platform, f"tenant:{tenant_id}", PATIENCE) as mine:
        if not mine:
            raise BusyError("Another worker is changing this workspace right now; wait for it to finish.")
        yield
