"""How the registries of all processes do, as `status` tells it: from what they write into the control database."""

from dataclasses import dataclass

from sqlalchemy import Connection

from ..platform.metrics import queries
from ..platform.metrics.records import Lease, ServerPlaces, TenantUse, busiest, hit_rate


@dataclass(frozen=True, slots=True)
class Use:
    """Connections that one process holds of a server, or all of them together.

    `limit` is how many they may be, `hit_rate` lies between 0 and 1 and is None before the first request. `evictions`:
    those closed to make room for another tenant's.
    """

    held: int
    busy: int
    limit: int | None
    hits: int
    misses: int
    hit_rate: float | None
    evictions: int
    waits: int
    timeouts: int
    waiting: int
    breaker: str  # closed, half-open or open: the worst of them


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """The part of one process."""

    process: str
    kind: str
    use: Use


@dataclass(frozen=True, slots=True)
class ServerUse:
    """What all processes together do with one server."""

    name: str
    databases: int
    spares: int
    use: Use
    processes: list[ProcessUse]


@dataclass(frozen=True, slots=True)
class RegistryUse:
    """All servers, and the tenants that were used most since the processes started."""

    servers: list[ServerUse]
    busiest: list[TenantUse]


def registry_use(conn: Connection) -> RegistryUse:
    """Read it. Nothing of it is older than a lease lasts."""
    leases = queries.leases(conn)
    return RegistryUse([_server(server, leases) for server in queries.servers(conn)], busiest(leases))


def _server(server: ServerPlaces, leases: list[Lease]) -> ServerUse:
    here = [lease for lease in leases if lease.server == server.name]
    return ServerUse(
        name=server.name,
        databases=server.databases,
        spares=server.spares,
        use=_use(here, server.limit),
        processes=[ProcessUse(lease.process, lease.kind, _use([lease], lease.connections)) for lease in here],
    )


def _use(leases: list[Lease], limit: int | None) -> Use:
    return Use(
        held=sum(lease.count("open") for lease in leases),
        busy=sum(lease.count("busy") for lease in leases),
        limit=limit,
        hits=sum(lease.count("hits") for lease in leases),
        misses=sum(lease.count("misses") for lease in leases),
        hit_rate=hit_rate(leases),
        evictions=sum(lease.count("evictions") for lease in leases),
        waits=sum(lease.count("waits") for lease in leases),
        timeouts=sum(lease.count("timeouts") for lease in leases),
        waiting=sum(lease.count("waiting") for lease in leases),
        breaker=max((lease.breaker for lease in leases), key=_BY_HARM.index, default="closed"),
    )


_BY_HARM = ("closed", "half-open", "open")
