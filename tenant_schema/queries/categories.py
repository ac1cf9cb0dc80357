"""SQL over categories."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from ..ids import new_uuid7
from ..tables import category


@dataclass(frozen=True, slots=True)
class Category:
    """What an expense is filed under."""

    id: UUID
    name: str
    active: bool


_LISTED = select(category.c.id, category.c.name, category.c.active).order_by(category.c.position, category.c.name)


def list_all(conn: Connection) -> list[Category]:
    """All categories in their order, also those no longer offered."""
    return [Category(*row) for row in conn.execute(_LISTED)]


def ensure(conn: Connection, names: Sequence[str]) -> dict[str, UUID]:
    """Make the categories of `names` that are missing, after those there are; the id of each by its name."""
    last = conn.scalar(select(func.coalesce(func.max(category.c.position), 0))) or 0
    rows = [{"id": new_uuid7(), "name": name, "position": last + n} for n, name in enumerate(names, 1)]
    if rows:
        conn.execute(insert(category).on_conflict_do_nothing(index_elements=[category.c.name]), rows)
    return {row.name: row.id for row in conn.execute(_LISTED)}
