"""SQL of the counters of what happens at the edge, one row for a name and a day. The caller owns the transaction."""

from datetime import date

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from ..control.tables import web_event


def add(conn: Connection, name: str, day: date, number: int) -> None:
    """Count `number` more of `name`."""
    row = insert(web_event).values(name=name, day=day, count=number)
    conn.execute(
        row.on_conflict_do_update(
            index_elements=[web_event.c.name, web_event.c.day], set_={"count": web_event.c.count + number}
        )
    )


def totals(conn: Connection) -> dict[str, int]:
    """How many of each name there have been, ever."""
    every = select(web_event.c.name, func.sum(web_event.c.count)).group_by(web_event.c.name)
    return {str(name): int(count) for name, count in conn.execute(every)}
