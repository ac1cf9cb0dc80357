"""SQL over which permissions members have used, and when last: to the day."""

from collections import defaultdict
from datetime import date
from uuid import UUID

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from ..tables import permission_use
from . import settings

SINCE = "permission_use_since"  # the day from which on uses are recorded
_U = permission_use.c
_NEW = insert(permission_use).values(
    member_id=bindparam("member_id"), permission=bindparam("permission"), last_used_on=bindparam("last_used_on")
)
_RECORD = _NEW.on_conflict_do_update(
    index_elements=[_U.member_id, _U.permission],
    set_={"last_used_on": _NEW.excluded.last_used_on},
    where=_U.last_used_on < _NEW.excluded.last_used_on,
)


def record(conn: Connection, member_id: UUID, permission: str, day: date) -> None:
    """Note that a member used a permission on `day`; an earlier day than is known changes nothing."""
    settings.mark_once(conn, SINCE, day.isoformat())
    conn.execute(_RECORD, {"member_id": member_id, "permission": permission, "last_used_on": day})


def recorded_since(conn: Connection) -> date | None:
    """Return the first day of which uses are known; None before the first one."""
    day = settings.mark(conn, SINCE)
    return None if day is None else date.fromisoformat(day)


def used_since(conn: Connection, day: date) -> dict[UUID, set[str]]:
    """Return, by member, the permissions used on `day` or later."""
    found: defaultdict[UUID, set[str]] = defaultdict(set)
    for row in conn.execute(select(_U.member_id, _U.permission).where(_U.last_used_on >= day)):
        found[row.member_id].add(row.permission)
    return found
