"""SQL about servers. The caller owns the transaction."""

from collections.abc import Collection

from sqlalchemy import Connection, Float, Row, ScalarSelect, cast, func, select, update
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
    server.c.connection_limit,
    server.c.rules_are_ours,
    server.c.tls_authority,
    server.c.pooler_host,
    server.c.pooler_port,
    server.c.pooler_authority,
)
_here = (placement.c.server_name == server.c.name, placement.c.state != "dropped")
_databases = select(func.count()).where(*_here, ~placement.c.spare).scalar_subquery()
_spares = select(func.count()).where(*_here, placement.c.spare, placement.c.state != "dropping").scalar_subquery()
# Tenants for each connection; a server that was never asked counts as one of PostgreSQL's default size.
_load = cast(_databases, Float) / func.coalesce(server.c.connection_limit, 100)


def list_all(conn: Connection) -> list[Server]:
    """Return all servers by name."""
    return [_server(row) for row in conn.execute(_SERVER.order_by(server.c.name))]


def by_name(conn: Connection, name: str) -> Server:
    """Return a server. Raises `NotFoundError`."""
    row = conn.execute(_SERVER.where(server.c.name == name)).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no server “{name}”.")
    return _server(row)


def choose(conn: Connection, region_id: str, avoid: Collection[str] = ()) -> Server:
    """Return the server of a region that has the most room and accepts more; `avoid` are names of servers.

    Room is told by how many databases share one connection. Raises `UnavailableError` if there is no such server: a
    workspace is never placed outside its region.
    """
    statement = _SERVER.where(server.c.region_id == region_id, server.c.accepts_tenants, server.c.name.not_in(avoid))
    row = conn.execute(statement.order_by(_load, server.c.name).limit(1)).one_or_none()
    if row is None:
        raise UnavailableError(f"No server in the region “{region_id}” accepts new workspaces.", retry_after=60)
    return _server(row)


def databases(conn: Connection) -> dict[str, int]:
    """Return how many databases of tenants lie on each server, by its name."""
    return _counted(conn, _databases)


def spares(conn: Connection) -> dict[str, int]:
    """Return how many databases lie ready for new tenants on each server, or are being made, by its name."""
    return _counted(conn, _spares)


def put(conn: Connection, *, name: str, region_id: str, kind: str, host: str, port: int) -> Server:
    """Write a server, or where a known one has moved to. Raises `CallError` for an unknown region."""
    require_region(conn, region_id)
    place = {"host": host, "port": port}
    conn.execute(
        insert(server)
        .values(name=name, region_id=region_id, kind=kind, **place)
        .on_conflict_do_update(index_elements=["name"], set_=place)
    )
    return by_name(conn, name)


def require_region(conn: Connection, region_id: str) -> None:
    """Raise `CallError` for an unknown region."""
    known = conn.execute(select(region.c.id).order_by(region.c.id)).scalars().all()
    if region_id not in known:
        raise CallError(f"There is no region “{region_id}”; there are: {', '.join(known)}.", field="region")


def put_external(conn: Connection, wanted: Server) -> Server:
    """Write an external server as `wanted`, new or known. Raises `CallError` for an unknown region."""
    put(conn, name=wanted.name, region_id=wanted.region, kind="external", host=wanted.host, port=wanted.port)
    conn.execute(
        update(server)
        .where(server.c.name == wanted.name)
        .values(
            connection_limit=wanted.connection_limit,
            rules_are_ours=wanted.rules_are_ours,
            tls_authority=wanted.tls_authority,
            pooler_host=wanted.pooler_host,
            pooler_port=wanted.pooler_port,
        )
    )
    return by_name(conn, wanted.name)


def set_accepts_tenants(conn: Connection, name: str, *, accepts: bool) -> Server:
    """Say whether new workspaces may be placed on a server. Raises `NotFoundError`."""
    by_name(conn, name)
    conn.execute(update(server).where(server.c.name == name).values(accepts_tenants=accepts))
    return by_name(conn, name)


def set_connection_limit(conn: Connection, name: str, limit: int) -> None:
    """Record how many connections of tenants, all processes together, a server may be asked for."""
    changed = server.c.connection_limit.is_distinct_from(limit)
    conn.execute(update(server).where(server.c.name == name, changed).values(connection_limit=limit))


def set_pooler(conn: Connection, name: str, address: tuple[str, int] | None) -> Server:
    """Record where a server's pooler is, or that tenants connect to the server itself. Raises `NotFoundError`."""
    host, port = address or (None, None)
    conn.execute(update(server).where(server.c.name == name).values(pooler_host=host, pooler_port=port))
    return by_name(conn, name)


def set_pooler_authority(conn: Connection, name: str, authority: str) -> None:
    """Record the certificates (PEM) that a server's pooler may prove itself by."""
    conn.execute(update(server).where(server.c.name == name).values(pooler_authority=authority))


def _counted(conn: Connection, count: ScalarSelect[int]) -> dict[str, int]:
    rows = conn.execute(select(server.c.name, count)).all()
    return {name: number for name, number in rows}  # noqa: C416 - rows are not typed as pairs


def _server(row: Row[*tuple[object, ...]]) -> Server:
    return Server(*row)  # pyright: ignore[reportArgumentType]  # the columns stand in the record's order
