"""`server check --repair`: finishes what was begun, removes what provably belongs to nothing, closes what is open."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from ..config.errors import FailedError, RefusedError, StrongroomError
from ..platform.control.platform import Platform
from ..platform.servers.records import Server
from ..platform.tenants import placements
from ..platform.tenants.records import PlacementState
from . import database
from .isolation.outside import placement_findings
from .isolation.standing import Standing, standing
from .locking import held
from .names import Names
from .placements import drop_placement, make_roles
from .sessions import provisioner
from .spares import spare_lock
from .strays import Remedy, Stray, find_strays


@dataclass(slots=True)
class Repair:
    """What was done, and what could not be, as sentences."""

    done: list[str] = field(default_factory=list[str])
    failed: list[str] = field(default_factory=list[str])


def plan(platform: Platform, server: Server) -> list[Stray]:
    """Return the strays that `repair` can do something about."""
    return [stray for stray in find_strays(platform, server) if stray.remedy is not Remedy.NONE]


def repair(platform: Platform, server: Server) -> Repair:
    """Mend what can be mended on `server`. Each thing on its own: one that fails keeps nothing else from being mended.

    Never touches what it does not know. Raises `UnavailableError` when the server does not answer.
    """
    made = Repair()
    for stray in plan(platform, server):
        _try(made, f"{stray.where} {stray.sentence}", lambda stray=stray: _mend_alone(platform, server, stray))
    seen = standing(platform, server)
    for names in _open_ones(seen):
        _try(made, f"{names.database} is not closed", lambda names=names: _close_alone(platform, server, names))
    return made


def _try(made: Repair, what: str, mend: Callable[[], None]) -> None:
    try:
        mend()
        made.done.append(f"{what}: mended.")
    except StrongroomError as error:
        made.failed.append(f"{what}: {error}")


def _mend_alone(platform: Platform, server: Server, stray: Stray) -> None:
    with undisturbed(platform, stray.subject):
        _mend(platform, server, stray)


def _close_alone(platform: Platform, server: Server, names: Names) -> None:
    with undisturbed(platform, names.pid):
        _close(platform, server, names)


@contextmanager
def undisturbed(platform: Platform, pid: str) -> Generator[None]:
    """Hold the life cycle of whatever the placement belongs to: a restore, a move or a clone may be filling it.

    Raises `RefusedError` while another worker holds it.
    """
    with platform.control.connect() as conn:
        row = placements.find(conn, pid)
    key = f"tenant:{row.tenant_id}" if row and row.tenant_id else spare_lock(pid)
    with held(platform, key) as mine:
        if not mine:
            raise RefusedError("another worker is busy with it right now; repeat when that is done.")
        yield


def _mend(platform: Platform, server: Server, stray: Stray) -> None:
    match stray.remedy:
        case Remedy.DROP_UNKNOWN:
            _drop_unknown(platform, server, Names(stray.subject))
        case Remedy.FINISH_DROP:
            drop_placement(platform, stray.subject)
        case Remedy.MAKE_ROLES:
            _make_roles(platform, server, Names(stray.subject))
        case Remedy.DESTROY_KEY:
            platform.keys.destroy_placement(stray.subject)
        case Remedy.NONE:
            pass


def _drop_unknown(platform: Platform, server: Server, names: Names) -> None:
    """Drop a database and roles that the control plane does not know, after asking it once more."""
    if _is_known(platform, names):
        raise RefusedError("the control plane knows it by now.")
    try:
        with provisioner(platform, server) as session:
            database.fence(session, names)
            database.drop(session, names)
            database.drop_roles(session, names)
    except psycopg.errors.InsufficientPrivilege as error:
        raise FailedError("it belongs to somebody else, who alone can drop it.") from error
    except psycopg.Error as error:
        raise FailedError("the server refused to drop it; try again.") from error
    platform.keys.destroy_placement(names.pid)


def _is_known(platform: Platform, names: Names) -> bool:
    with platform.control.connect() as conn:
        row = placements.find(conn, names.pid)
    return row is not None and row.state is not PlacementState.DROPPED


def _make_roles(platform: Platform, server: Server, names: Names) -> None:
    try:
        with provisioner(platform, server) as session:
            make_roles(platform, session, names)
            database.close(session, names)
    except psycopg.Error as error:
        raise FailedError("the server refused to make its roles.") from error


def _open_ones(seen: Standing) -> list[Names]:
    """Return the finished placements about whose database or login the gate says something."""
    named = {finding.where for finding in seen.findings}
    return [names for names in seen.finished if names.database in named]


def _close(platform: Platform, server: Server, names: Names) -> None:
    """Set access list and roles as they should be. Raises `FailedError` naming what only a superuser can mend."""
    try:
        with provisioner(platform, server) as session:
            database.close(session, names)
            make_roles(platform, session, names)
            left = placement_findings(session, [names])
    except psycopg.Error as error:
        raise FailedError("its access list or its roles can only be mended by a superuser.") from error
    if left:
        raise FailedError(f"{left[0].where} {left[0].sentence}, which is not mended: only a superuser can change it.")
