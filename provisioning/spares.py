"""The pool of spares: finished databases that nobody has yet, so that a sign-up is one claim.

Whoever builds a spare holds a lock on it that ends with the process: a half-made one without its lock is nobody's work
any more, and the next refill clears it away. Several workers may refill at once.
"""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from ..config.errors import FailedError, StrongroomError, UnavailableError
from ..platform.control.platform import Platform
from ..platform.jobs import queries as jobs
from ..platform.registry.address import tls_parameters
from ..platform.servers import queries as servers
from ..platform.servers.records import Server
from ..platform.tenants import placements
from ..platform.tenants.ids import new_id
from ..platform.tenants.records import Placement, PlacementState
from ..tenant_schema.migrate import knows_revision, newest_revision
from .building import BUILDING, Sessions, Site, provisioner_sessions
from .gates import verify_gates
from .locking import held
from .placements import drop_placement
from .refilling import REFILL, queue_refill

_TURN = 2.0  # seconds after which a refill lets other jobs run, and a signal end the worker
_HOLD_SERVER = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
_LEFT = (PlacementState.BUILDING, PlacementState.READY, PlacementState.DROPPING)
_EXISTING = "SELECT datname FROM pg_database WHERE datname = ANY(%s)"

_logger = logging.getLogger(__name__)


def refill(platform: Platform) -> bool:
    """Bring the pool of each server to `spare_databases` at the newest revision; return whether more is to be done.

    Stops after a turn, or when another job waits, but not before one database is made. A server that fails is skipped
    until the next refill.
    """
    with platform.control.connect() as conn:
        known = servers.list_all(conn)
    until = time.monotonic() + _TURN
    left = False
    for server in known:
        try:
            with provisioner_sessions(platform) as sessions:
                clear_away(platform, server, sessions)
                left |= _fill(platform, server, sessions, until)
        except (StrongroomError, psycopg.Error, DBAPIError) as error:
            _logger.warning("The spare databases on %s wait: %s", server.name, error)
    return left


def wanted(platform: Platform, server: Server) -> int:
    """How many spares a server should have: none where no new workspaces go."""
    return platform.settings.spare_databases if server.accepts_tenants else 0


def clear_away(platform: Platform, server: Server, sessions: Sessions) -> None:
    """Drop the spares that a killed worker has left half-made, those without a database, and those too many."""
    with platform.control.connect() as conn:
        known = placements.spares(conn, server.name, _LEFT)
    unfinished = [spare for spare in known if spare.state is not PlacementState.READY]
    ready = [spare for spare in known if spare.state is PlacementState.READY]
    for spare in [*unfinished, *_lost(sessions, server, ready), *_surplus(ready, wanted(platform, server))]:
        _drop_if_abandoned(platform, spare)


def add_spare(platform: Platform, server: Server, sessions: Sessions) -> bool:
    """Build one more spare, unless the pool is full, counting those that others are building.

    Raises `UnavailableError` when the server does not answer, `VerificationError` when the database is not closed.
    """
    sessions.on(server)  # before anything is written: a server that is down gets no half-made spares
    pid = new_id()
    with held(platform, spare_lock(pid)):
        with platform.control.begin() as conn:
            if not _has_room(conn, server, wanted(platform, server)):
                return False
            placement = placements.new_spare(conn, server.name, pid)
        _build(Site(platform, server, placement, sessions))
    return True


def renew_spare(platform: Platform, server: Server, spare: Placement, sessions: Sessions) -> bool:
    """Bring a spare to the newest schema revision; nobody can claim it meanwhile. False if it is gone already."""
    with held(platform, spare_lock(spare.id)) as mine:
        if not mine or not _move(platform, spare, PlacementState.READY, PlacementState.BUILDING):
            return False
        _build(Site(platform, server, spare, sessions))
    return True


@contextmanager
def new_home(platform: Platform, server: Server, tenant_id: str | None) -> Generator[str]:
    """Yield the id of a placement for the tenant to be filled by a restore, and hold its lock.

    It is that of a spare, taken out of the pool, where a tenant is given and the server has one: `prepare_database`
    then finds its database made, which on a disk is most of the time that a small restore takes. Else a new id.
    """
    with ExitStack() as stack:
        pid = _claimed(platform, server, tenant_id, stack) if tenant_id else None
        if pid is None:
            pid = new_id()
            stack.enter_context(held(platform, spare_lock(pid)))
        yield pid


def _claimed(platform: Platform, server: Server, tenant_id: str, stack: ExitStack) -> str | None:
    with platform.control.connect() as conn:
        ready = placements.spares(conn, server.name, (PlacementState.READY,))
    for spare in ready:
        if spare.schema_revision != newest_revision():
            continue
        with ExitStack() as lock:  # first the lock, so that no clearing takes it for given up
            mine = lock.enter_context(held(platform, spare_lock(spare.id)))
            with platform.control.begin() as conn:
                if mine and placements.claim_to_fill(conn, spare.id, tenant_id):
                    queue_refill(conn)
                    stack.push(lock.pop_all())
                    return spare.id
    return None


def outdated(spare: Placement) -> bool:
    """Whether a spare waits for an upgrade. One that newer code made is left to newer code."""
    revision = spare.schema_revision
    behind = revision is not None and revision != newest_revision() and knows_revision(revision)
    return spare.state is PlacementState.READY and behind


def check_gates(site: Site) -> None:
    """Check that the finished database is closed, from outside and inside, as for a tenant."""
    verify_gates(site.platform, site.server, site.placement.id)


def warm(site: Site) -> None:
    """Connect once as the database's own login: the first connection that a database ever gets is the slowest."""
    parameters: dict[str, Any] = {
        **site.server.conninfo_params(site.names.database),
        **tls_parameters(site.server, site.server.host, site.platform.settings),
        **site.platform.keys.placement(site.placement.id).conninfo_params(),
        "connect_timeout": 5,
    }
    try:
        with psycopg.connect(**parameters) as session:
            session.execute("SELECT FROM app.category")
    except psycopg.OperationalError as error:
        raise UnavailableError(f"The new database {site.names.database} does not let its own login in.") from error


def offer(site: Site) -> None:
    """Put the finished database into the pool."""
    if not _move(site.platform, site.placement, PlacementState.BUILDING, PlacementState.READY, newest_revision()):
        raise FailedError(f"The spare database {site.names.database} was cleared away while it was made.")


SPARE_STEPS: tuple[Callable[[Site], None], ...] = (*BUILDING, check_gates, warm, offer)


def _fill(platform: Platform, server: Server, sessions: Sessions, until: float) -> bool:
    """Renew and add spares until all are there; return whether the turn ended before that."""
    with platform.control.connect() as conn:
        old = [spare for spare in placements.spares(conn, server.name) if outdated(spare)]
    for spare in old:
        if renew_spare(platform, server, spare, sessions) and _others_turn(platform, until):
            return True
    while add_spare(platform, server, sessions):
        if _others_turn(platform, until):
            return True
    return False


def _others_turn(platform: Platform, until: float) -> bool:
    if time.monotonic() > until:
        return True
    with platform.control.connect() as conn:
        return jobs.others_wait(conn, REFILL)


def _build(site: Site) -> None:
    for step in SPARE_STEPS:
        step(site)


def _has_room(conn: Connection, server: Server, most: int) -> bool:
    """Whether the pool lacks a spare; nobody else can add one until the transaction ends."""
    conn.execute(_HOLD_SERVER, {"key": f"spares:{server.name}"})
    return len(placements.spares(conn, server.name)) < most


def _drop_if_abandoned(platform: Platform, spare: Placement) -> None:
    """Drop a spare unless somebody is at work on it or has claimed it."""
    with held(platform, spare_lock(spare.id)) as mine:
        dropping = spare.state is PlacementState.DROPPING
        if mine and (dropping or _move(platform, spare, spare.state, PlacementState.DROPPING)):
            drop_placement(platform, spare.id)


def _lost(sessions: Sessions, server: Server, ready: list[Placement]) -> list[Placement]:
    """Spares that the control plane remembers and the server does not, as after a recovery from backups."""
    names = [spare.database for spare in ready]
    there = {row[0] for row in sessions.on(server).execute(_EXISTING, (names,))}
    return [spare for spare in ready if spare.database not in there]


def _surplus(ready: list[Placement], most: int) -> list[Placement]:
    return ready[: max(0, len(ready) - most)]


def _move(
    platform: Platform, spare: Placement, before: PlacementState, to: PlacementState, revision: str | None = None
) -> bool:
    with platform.control.begin() as conn:
        return placements.move_spare(conn, spare.id, before, to, revision)


def spare_lock(pid: str) -> str:
    """Return the lock of whoever works on a spare, or fills a database whose tenant is not there yet."""
    return f"placement:{pid}"
