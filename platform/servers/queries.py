"""SQL about servers. The caller owns the transaction."""

from sqlalchemy import Connection, Row, func, select
from sqlalchemy.dialects.postgresql import insert

from ...config.errors import CallError, NotFoundError, UnavailableError
from ..control.tables import placement, region, server
from .records import Server

_SERVER = select(
    server.c.name,
    server.c.region_id,
    server.c.kind,
    server.c.host,
    server.c.port,
    server.c.accepts_tenants,
    server.c.created_at,
)
_databases = (
    select(func.count())
    .where(placement.c.server_name == server.c.name, placement.c.state != "dropped")
    .scalar_subquery()
)


def list_all(conn: Connection) -> list[Server]:
    """Return all servers by name."""
    return [_server(row) for row in conn.execute(_SERVER.order_by(server.c.name))]


def by_name(conn: Connection, name: str) -> Server:
    """Return a server. Raises `NotFoundError`."""
    row = conn.execute(_SERVER.where(server.c.name == name)).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no server “{name}”.")
    return _server(row)


def choose(conn: Connection, region_id: str) -> Server:
    """Return the server of a region that holds the fewest databases and accepts more.

    Raises `UnavailableError` if there is none: a workspace is never placed outside its region.
    """
    statement = _SERVER.where(server.c.region_id == region_id, server.c.accepts_tenants)
    row = conn.execute(statement.order_by(_databases, server.c.name).limit(1)).one_or_none()
    if row is None:
        raise UnavailableError(f"No server in the region “{region_id}” accepts new workspaces.", retry_after=60)
    return _server(row)


def databases(conn: Connection) -> dict[str, int]:
    """Return how many databases lie on each server, by its name."""
    rows = conn.execute(select(server.c.name, _databases)).all()
    return {name: count for name, count in rows}  # noqa: C416 - rows are not typed as pairs


def put(conn: Connection, *, name: str, region_id: str, kind: str, host: str, port: int) -> Server:
    """Write a server, or where a known one has moved to. Raises `CallError` for an unknown region."""
    known = conn.execute(select(region.c.id).order_by(region.c.id)).scalars().all()
    if region_id not in known:
        raise CallError(f"There is no region “{region_id}”; there are: {', '.join(known)}.", field="region")
    place = {"host": host, "port": port}
    conn.execute(
        insert(server)
        .values(name=name, region_id=region_id, kind=kind, **place)
        .on_conflict_do_update(index_elements=["name"], set_=place)
    )
    return by_name(conn, name)


def _server(row: Row[str, str, str, str, int, bool, object]) -> Server:
    return Server(*row)  # pyright: ignore[reportArgumentType]  # the columns stand in the record's order
