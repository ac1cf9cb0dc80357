"""SQL about placements: the databases that tenants live, lived or will live in. The caller owns the transaction."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, Row, func, select, text, update
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
    placement.c.spare,
)


def new(conn: Connection, server_name: str, tenant_id: str | None = None, placement_id: str | None = None) -> Placement:
    """Write a placement that is being built, for a tenant or for one that is not there yet."""
    return _new(conn, placement_id, server_name=server_name, tenant_id=tenant_id)


def new_spare(conn: Connection, server_name: str, placement_id: str) -> Placement:
    """Write a placement that is being built for the pool."""
    return _new(conn, placement_id, server_name=server_name, spare=True)


def claim_spare(
    conn: Connection, tenant_id: str, region_id: str, revision: str, avoid: Collection[str] = ()
) -> Placement | None:
    """Give a spare at `revision` on the region's server with the most room to a tenant; None if there is none.

    One conditional UPDATE that waits for nobody: whoever claims at the same time gets another spare. `avoid` are names
    of servers.
    """
    values = {"tenant_id": tenant_id, "region_id": region_id, "revision": revision, "avoid": list(avoid)}
    claimed = conn.execute(_CLAIM, values).scalar_one_or_none()
    return None if claimed is None else by_id(conn, claimed)


def spares(
    conn: Connection,
    server_name: str,
    states: Collection[PlacementState] = (PlacementState.BUILDING, PlacementState.READY),
) -> list[Placement]:
    """Return a server's spares in the given states (default: ready ones and those being built), the oldest first."""
    of_server = (placement.c.spare, placement.c.server_name == server_name, placement.c.state.in_(states))
    rows = conn.execute(_PLACEMENT.where(*of_server).order_by(placement.c.created_at, placement.c.id))
    return [_placement(row) for row in rows]


def move_spare(
    conn: Connection, placement_id: str, before: PlacementState, to: PlacementState, revision: str | None = None
) -> bool:
    """Move a spare from one state to another; False if it is in another state, or nobody's spare any more."""
    values: dict[str, object] = {"state": to, **({"schema_revision": revision} if revision else {})}
    statement = update(placement).where(placement.c.id == placement_id, placement.c.spare, placement.c.state == before)
    return conn.execute(statement.values(values).returning(placement.c.id)).one_or_none() is not None


def claim_to_fill(conn: Connection, placement_id: str, tenant_id: str) -> bool:
    """Take a spare for content that a tenant will be switched to; False if it is nobody's spare any more."""
    statement = update(placement).where(
        placement.c.id == placement_id, placement.c.spare, placement.c.state == PlacementState.READY
    )
    values = {"tenant_id": tenant_id, "spare": False, "state": PlacementState.BUILDING}
    return conn.execute(statement.values(values).returning(placement.c.id)).one_or_none() is not None


def by_id(conn: Connection, placement_id: str) -> Placement:
    """Return a placement. Raises `NotFoundError`."""
    return _found(conn.execute(_PLACEMENT.where(placement.c.id == placement_id)).one_or_none(), placement_id)


def find(conn: Connection, placement_id: str) -> Placement | None:
    """Return a placement, None where there is none."""
    row = conn.execute(_PLACEMENT.where(placement.c.id == placement_id)).one_or_none()
    return _placement(row) if row else None


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


def kept(conn: Connection, tenant_id: str) -> list[Placement]:
    """Return the retired placements that a tenant can still be put back on, the one that it left last first."""
    rows = conn.execute(
        _PLACEMENT.where(
            placement.c.tenant_id == tenant_id,
            placement.c.state == PlacementState.RETIRED,
            placement.c.drop_after > func.now(),
        ).order_by(placement.c.retired_at.desc(), placement.c.id)
    )
    return [_placement(row) for row in rows]


def in_state(conn: Connection, *states: PlacementState) -> list[Placement]:
    """Return the placements in the given states, the oldest first."""
    rows = conn.execute(
        _PLACEMENT.where(placement.c.state.in_(states)).order_by(placement.c.created_at, placement.c.id)
    )
    return [_placement(row) for row in rows]


def ids_on(conn: Connection, server_name: str, *states: PlacementState) -> list[str]:
    """Return the ids of a server's placements in the given states, in their own order."""
    wanted = select(placement.c.id).where(placement.c.server_name == server_name, placement.c.state.in_(states))
    return list(conn.execute(wanted.order_by(placement.c.id)).scalars())


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


def put_aside(conn: Connection, pid: str) -> None:
    """Give a placement to nobody and drop it never: an operator looks what is in it."""
    values = {"state": PlacementState.RETIRED, "spare": False, "retired_at": func.now(), "drop_after": None}
    conn.execute(update(placement).where(placement.c.id == pid).values(values))


def set_drop_after(conn: Connection, placement_id: str, when: datetime | None) -> None:
    """Set the date from which a retired placement may be dropped."""
    conn.execute(update(placement).where(placement.c.id == placement_id).values(drop_after=when))


# A server's room is judged by how many tenants share one of its connections; one that was never asked counts as one of
# PostgreSQL's default size. The inner select runs once and locks the row that it takes.
_CLAIM = text("""
    WITH holds AS (SELECT server_name, count(*) AS tenants FROM placement
                   WHERE tenant_id IS NOT NULL AND state <> 'dropped' GROUP BY server_name)
    UPDATE placement SET tenant_id = :tenant_id, spare = false
    WHERE spare AND state = 'ready' AND id = (
        SELECT spare.id FROM placement spare
        JOIN server ON server.name = spare.server_name
        LEFT JOIN holds ON holds.server_name = server.name
        WHERE spare.spare AND spare.state = 'ready' AND spare.schema_revision = :revision
          AND server.region_id = :region_id AND server.accepts_tenants
          AND server.name <> ALL (CAST(:avoid AS text[]))
        ORDER BY coalesce(holds.tenants, 0)::float / coalesce(server.connection_limit, 100), spare.created_at
        FOR UPDATE OF spare SKIP LOCKED LIMIT 1)
    RETURNING id
""")


def _new(conn: Connection, placement_id: str | None, **values: object) -> Placement:
    made = placement_id or new_id()
    conn.execute(insert(placement).values(id=made, state=PlacementState.BUILDING, **values))
    return by_id(conn, made)


def _found(row: Row[*tuple[object, ...]] | None, placement_id: str) -> Placement:
    if row is None:
        raise NotFoundError(f"There is no database of the id “{placement_id}”.")
    return _placement(row)


def _placement(row: Row[*tuple[object, ...]]) -> Placement:
    values = list(row)
    values[3] = PlacementState(str(values[3]))
    return Placement(*values)  # pyright: ignore[reportArgumentType]  # the columns stand in the record's order
