"""SQL about placements: the databases that tenants live, lived or will live in. The caller owns the transaction."""

from datetime import datetime

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from ...config.errors import NotFoundError
from ..control.tables import placement
from .ids import new_id
from .records import Placement, PlacementState

_PLACEMENT = select(
    placement.c.id,
    placement.c.server_name,
    placement.c.tenant_id,
    placement.c.state,
    placement.c.schema_revision,
    placement.c.created_at,
    placement.c.retired_at,
    placement.c.drop_after,
)


def new(conn: Connection, server_name: str, tenant_id: str | None = None, placement_id: str | None = None) -> Placement:
    """Write a placement that is being built, for a tenant or as a spare."""
    made = placement_id or new_id()
    conn.execute(
        insert(placement).values(id=made, server_name=server_name, tenant_id=tenant_id, state=PlacementState.BUILDING)
    )
    return by_id(conn, made)


def by_id(conn: Connection, placement_id: str) -> Placement:
    """Return a placement. Raises `NotFoundError`."""
    return _found(conn.execute(_PLACEMENT.where(placement.c.id == placement_id)).one_or_none(), placement_id)


def locked(conn: Connection, placement_id: str) -> Placement:
    """Return a placement and hold its row until the transaction ends. Raises `NotFoundError`."""
    statement = _PLACEMENT.where(placement.c.id == placement_id).with_for_update()
    return _found(conn.execute(statement).one_or_none(), placement_id)


def of_tenant(conn: Connection, tenant_id: str) -> list[Placement]:
    """Return all placements a tenant ever had, the newest first."""
    rows = conn.execute(
        _PLACEMENT.where(placement.c.tenant_id == tenant_id).order_by(placement.c.created_at.desc(), placement.c.id)
    )
    return [_placement(row) for row in rows]


def in_state(conn: Connection, *states: PlacementState) -> list[Placement]:
    """Return the placements in the given states, the oldest first."""
    rows = conn.execute(
        _PLACEMENT.where(placement.c.state.in_(states)).order_by(placement.c.created_at, placement.c.id)
    )
    return [_placement(row) for row in rows]


def set_state(conn: Connection, placement_id: str, to: PlacementState) -> None:
    """Move a placement to another state; retiring it records when."""
    times = {"retired_at": func.now()} if to is PlacementState.RETIRED else {}
    conn.execute(update(placement).where(placement.c.id == placement_id).values(state=to, **times))


def assign(conn: Connection, placement_id: str, tenant_id: str) -> None:
    """Give a placement to a tenant."""
    conn.execute(update(placement).where(placement.c.id == placement_id).values(tenant_id=tenant_id))


def set_schema_revision(conn: Connection, placement_id: str, revision: str) -> None:
    """Record at which revision a placement's schema is."""
    conn.execute(update(placement).where(placement.c.id == placement_id).values(schema_revision=revision))


def set_drop_after(conn: Connection, placement_id: str, when: datetime | None) -> None:
    """Set the date from which a retired placement may be dropped."""
    conn.execute(update(placement).where(placement.c.id == placement_id).values(drop_after=when))


def _found(row: Row[*tuple[object, ...]] | None, placement_id: str) -> Placement:
    if row is None:
        raise NotFoundError(f"There is no database of the id “{placement_id}”.")
    return _placement(row)


def _placement(row: Row[*tuple[object, ...]]) -> Placement:
    values = list(row)
    values[3] = PlacementState(str(values[3]))
    return Placement(*values)  # pyright: ignore[reportArgumentType]  # the columns stand in the record's order
