"""SQL of the alarms that operators were, or will be, told of. The caller owns the transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from ..control.tables import alarm


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong. Two of the same kind and subject are the same trouble."""

    kind: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """A trouble as it was when it was noticed. `mailed_at`: when operators were told."""

    kind: str
    subject: str
    detail: str
    raised_at: datetime
    mailed_at: datetime | None


def raise_new(conn: Connection, troubles: Sequence[Trouble], now: datetime) -> None:
    """Write down the troubles that are not known yet."""
    rows = [{"kind": one.kind, "subject": one.subject, "detail": one.detail, "raised_at": now} for one in troubles]
    if rows:
        conn.execute(insert(alarm).on_conflict_do_nothing(), rows)


def listing(conn: Connection) -> list[Alarm]:
    """Return all alarms, the oldest first."""
    columns = alarm.c.kind, alarm.c.subject, alarm.c.detail, alarm.c.raised_at, alarm.c.mailed_at
    return [Alarm(*row) for row in conn.execute(select(*columns).order_by(alarm.c.raised_at, *columns[:2]))]


def mark_mailed(conn: Connection, alarms: Iterable[Alarm], now: datetime) -> None:
    """Record that operators were told of them."""
    conn.execute(update(alarm).where(_among(alarms)).values(mailed_at=now))


def remove(conn: Connection, alarms: Iterable[Alarm]) -> None:
    """Forget alarms that have ended."""
    conn.execute(alarm.delete().where(_among(alarms)))


def count(conn: Connection) -> int:
    """Return how many there are."""
    return conn.execute(select(func.count()).select_from(alarm)).scalar_one()


def _among(alarms: Iterable[Alarm]):
    return tuple_(alarm.c.kind, alarm.c.subject).in_([(one.kind, one.subject) for one in alarms])
