"""What does not fit together between the control plane, a server and the key store; and what may be done about it.

A placement's row is written before its key, its roles and its database are made, and says `dropped` only after they are
gone. So what is on a server without a row was not made by this control plane, or its row was lost.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from ..platform.control.platform import Platform
from ..platform.servers import queries as servers
from ..platform.servers.records import Server
from ..platform.tenants import placements
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import Placement, PlacementState
from ..platform.tenants.states import TenantState
from .names import CONTROL, MAINTENANCE, TEMPLATE
from .sessions import provisioner

BEING_MADE = timedelta(minutes=10)  # a younger unfinished database may have somebody who works on it

_OURS = re.compile(r"t_([a-z2-7]{16})(_own)?")
_PLATFORM_DATABASES = {MAINTENANCE, "template0", "template1", CONTROL, TEMPLATE}
_FINISHED = {PlacementState.READY, PlacementState.CURRENT, PlacementState.RETIRED}


class Remedy(Enum):
    """What `server check --repair` does about a stray."""

    DROP_UNKNOWN = "drop it"
    FINISH_DROP = "finish dropping it"
    MAKE_ROLES = "make its roles again"
    DESTROY_KEY = "destroy its key"
    NONE = "nothing: an operator must decide"


@dataclass(frozen=True, slots=True)
class Stray:
    """Something that belongs to nothing, or misses something. `subject` is the id that the remedy is about."""

    where: str
    sentence: str
    remedy: Remedy
    subject: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """One server and the control plane at one moment: keys first, rows before and after what the server has."""

    keys: set[str]
    databases: set[str]
    roles: set[str]
    before: Mapping[str, Placement]
    rows: Mapping[str, Placement]
    pending: set[str]


def find_strays(platform: Platform, server: Server) -> list[Stray]:
    """Return what does not fit together on `server`. Raises `UnavailableError` when it does not answer."""
    seen = _look(platform, server)
    unknown = sorted({m[1] for name in seen.databases | seen.roles if (m := _OURS.fullmatch(name))})
    found = [stray for pid in unknown for stray in _unknown(seen, server, pid)]
    for row in seen.rows.values():
        if row.server == server.name:
            found += _known(seen, row)
    return found + _keys(platform, seen, server)


def foreign_databases(platform: Platform, server: Server) -> list[str]:
    """Return the databases on `server` that are none of ours; nothing is ever done to them."""
    with provisioner(platform, server) as session:
        names = {row[0] for row in session.execute("SELECT datname FROM pg_database")}
    return sorted(name for name in names - _PLATFORM_DATABASES if not _OURS.fullmatch(name))


def _look(platform: Platform, server: Server) -> _Seen:
    keys = set(platform.keys.placement_ids())
    before = _rows(platform)
    with provisioner(platform, server) as session:
        databases = {row[0] for row in session.execute("SELECT datname FROM pg_database")}
        roles = {row[0] for row in session.execute("SELECT rolname FROM pg_roles")}
    rows = _rows(platform)
    with platform.control.connect() as conn:
        pending = {tenant.id for tenant in tenants.list_all(conn, [TenantState.PENDING])}
    return _Seen(keys, databases, roles, before, rows, pending)


def _rows(platform: Platform) -> dict[str, Placement]:
    with platform.control.connect() as conn:
        return {row.id: row for row in placements.in_state(conn, *PlacementState)}


def _unknown(seen: _Seen, server: Server, pid: str) -> Iterator[Stray]:
    """Judge what the server has of `pid`."""
    row, name = seen.rows.get(pid), f"t_{pid}"
    what = "database" if name in seen.databases else "login or owner role"
    if row and row.server != server.name:
        yield Stray(name, f"is on {server.name}, but its place is {row.server}", Remedy.NONE, pid)
    elif row and row.state is PlacementState.DROPPED:
        yield Stray(name, f"was dropped, but its {what} is still there", Remedy.DROP_UNKNOWN, pid)
    elif row is None and pid in seen.keys:
        sentence = f"is a {what} with a key, but without a record: the control plane may be older than it"
        yield Stray(name, sentence, Remedy.NONE, pid)
    elif row is None:
        yield Stray(name, f"is a {what} that belongs to nothing", Remedy.DROP_UNKNOWN, pid)


def _known(seen: _Seen, row: Placement) -> Iterator[Stray]:
    """Judge what is missing of a placement on its own server."""
    earlier = seen.before.get(row.id)
    settled = row.state in _FINISHED and earlier is not None and earlier.state in _FINISHED
    if row.state is PlacementState.DROPPING:
        yield Stray(row.database, "is half dropped", Remedy.FINISH_DROP, row.id)
    elif _is_given_up(row, seen.pending):
        yield Stray(row.database, "was never finished, and nobody works on it", Remedy.FINISH_DROP, row.id)
    elif settled and row.database not in seen.databases:
        lost = row.state is PlacementState.CURRENT
        sentence = "is gone, and a workspace lives in it; restore it from a backup" if lost else "is gone"
        yield Stray(row.database, sentence, Remedy.NONE if lost else Remedy.FINISH_DROP, row.id)
    elif settled and not {row.database, row.owner_role} <= seen.roles:
        yield Stray(row.database, "misses its login or owner role", Remedy.MAKE_ROLES, row.id)


def _is_given_up(row: Placement, pending: set[str]) -> bool:
    old = row.created_at < datetime.now(UTC) - BEING_MADE
    return row.state is PlacementState.BUILDING and old and row.tenant_id not in pending


def _keys(platform: Platform, seen: _Seen, server: Server) -> list[Stray]:
    """Judge the key store's entries of databases: those of dropped ones, and those that no server and no row knows."""
    orphans = [pid for pid in sorted(seen.keys) if f"t_{pid}" not in seen.databases]
    dropped = [pid for pid in orphans if (row := seen.rows.get(pid)) and row.state is PlacementState.DROPPED]
    rowless = {pid for pid in orphans if pid not in seen.rows}
    if rowless:
        rowless -= _on_other_servers(platform, server)
    return [
        Stray(f"the key of t_{pid}", "is left of a database that is gone", Remedy.DESTROY_KEY, pid)
        for pid in [*dropped, *sorted(rowless)]
        if seen.rows.get(pid) is None or seen.rows[pid].server == server.name
    ]


def _on_other_servers(platform: Platform, server: Server) -> set[str]:
    """Return the ids of all databases on the other servers. Raises `UnavailableError` when one does not answer."""
    with platform.control.connect() as conn:
        others = [other for other in servers.list_all(conn) if other.name != server.name]
    found: set[str] = set()
    for other in others:
        with provisioner(platform, other) as session:
            names = [row[0] for row in session.execute("SELECT datname FROM pg_database")]
        found |= {match[1] for name in names if (match := _OURS.fullmatch(name))}
    return found
