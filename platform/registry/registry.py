"""The way from a host name to a tenant and to a connection with that tenant's own credential.

No tenant is an error, never a default: every method that opens something takes the tenant as an argument.
"""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.pool import ConnectionPoolEntry

from ...config.errors import TenantSuspendedError, UnavailableError, UnknownHostError
from ...config.settings import Settings
from ..keys import KeyStore
from ..servers import queries as servers
from ..servers.records import Server
from ..tenants import queries as tenants
from ..tenants.records import Tenant
from ..tenants.states import TenantState
from .budget import Budget
from .cache import TenantCache
from .connection import TenantConnection
from .hosts import workspace_of
from .pool import Target, TenantPool, tenant_engine

_SERVER_SECONDS = 60.0  # how old the address of a server may be


class Loan:
    """The connection inside the block, back in the registry afterwards. A class, because each request pays for it."""

    __slots__ = ("_entry", "_pool", "_target")

    def __init__(self, pool: TenantPool, target: Target) -> None:
        self._pool = pool
        self._target = target

    def __enter__(self) -> TenantConnection:
        entry = self._pool.take(self._target)
        self._entry = entry
        connection: TenantConnection = entry.dbapi_connection  # pyright: ignore[reportAssignmentType]  # by the pool
        connection.set_idle_autocommit(True)
        return connection

    def __exit__(self, *_: object) -> None:
        self._pool.give_back(self._entry)


class Registry:
    """Routes one process's requests and jobs to their tenants' databases. Thread-safe; not for use after a fork."""

    def __init__(self, settings: Settings, keys: KeyStore, control_engine: Engine) -> None:
        self._settings = settings
        self._keys = keys
        self._control = control_engine.execution_options(isolation_level="AUTOCOMMIT")  # only single look-ups
        self._pool = TenantPool()
        self._engine = tenant_engine(self._pool)
        self._cache = TenantCache(self._load, settings.tenant_cache_seconds)
        self._lock = threading.Lock()
        self._newest: dict[str, Tenant] = {}  # by tenant id: the record of the highest generation seen
        self._targets: dict[str, Target] = {}  # by key
        self._servers: dict[str, tuple[float, Server]] = {}  # by name, with the time of reading
        self._budgets: dict[str, Budget[ConnectionPoolEntry]] = {}  # by server

    def resolve(self, host: str) -> Tenant:
        """Return the active tenant that a Host header names.

        Raises `UnknownHostError`, `TenantSuspendedError`, or `UnavailableError` while the workspace is being set up,
        restored or upgraded.
        """
        slug = workspace_of(host, self._settings.base_domain)
        tenant = self._cache.by_slug(slug) if slug else None
        if tenant is None:
            raise UnknownHostError("There is no workspace at this address.")
        return check_open(tenant)

    def tenant_by_id(self, tenant_id: str) -> Tenant:
        """Read a tenant's present record, whatever its state. Raises `NotFoundError`."""
        with self._control.connect() as conn:
            return self._note(tenants.by_id(conn, tenant_id))

    @contextmanager
    def connect(self, tenant: Tenant, *, before_opening: bool = False) -> Generator[Connection]:
        """Lend a connection to the tenant's database as the tenant's own role; nothing is committed by itself.

        `before_opening`: for provisioning, which writes into a workspace that nobody may use yet; such a connection is
        closed afterwards. Raises `UnavailableError` when none is to be had within the check-out time-out,
        `TenantSuspendedError` … as `resolve` does.
        """
        target = self._new_target(tenant) if before_opening else self._target(tenant)
        with self._pool.wanting(target):
            connection = self._engine.connect()
        try:
            with connection:
                yield connection
        finally:
            if before_opening:
                self._retire(tenant)

    def borrow(self, tenant: Tenant) -> Loan:
        """Lend the psycopg connection itself, in autocommit mode: for COPY and for single hot statements."""
        return Loan(self._pool, self._target(tenant))

    def forget(self, tenant: Tenant) -> None:
        """Close this process's idle connections to the tenant and read its record again at the next request."""
        self._cache.forget(tenant.slug)
        with self._lock:
            known = self._newest.pop(tenant.id, tenant)
        self._retire(known)

    def stats(self) -> dict[str, Any]:
        """Return the counters of each server's budget, by server name."""
        with self._lock:
            budgets = dict(self._budgets)
        return {name: asdict(budget.counters()) for name, budget in budgets.items()}

    def close(self) -> None:
        """Close the idle connections; busy ones are closed when they come back. Nothing can be opened afterwards."""
        with self._lock:
            budgets = list(self._budgets.values())
        for budget in budgets:
            budget.close()

    def _target(self, tenant: Tenant) -> Target:
        """Return where to find the tenant's database, for the newest record of it that this process knows."""
        newest = self._newest.get(tenant.id)
        if newest is None or newest.generation < tenant.generation:
            newest = self._note(tenant)
        elif newest.placement_id != tenant.placement_id:
            raise UnavailableError("This workspace has just been moved; try again.", retry_after=1)
        check_open(newest)
        return self._targets.get(_key(newest)) or self._new_target(newest)

    def _new_target(self, tenant: Tenant) -> Target:
        assert tenant.placement_id, "an open workspace has a placement"
        server = self._server(tenant.server)
        target = Target(
            key=_key(tenant),
            budget=self._budget(server),
            credential=self._keys.placement(tenant.placement_id),
            database=tenant.database,
            host=server.host,
            port=server.port,
            timeout=self._settings.checkout_timeout,
        )
        self._targets[target.key] = target
        return target

    def _server(self, name: str) -> Server:
        known = self._servers.get(name)
        if known and time.monotonic() - known[0] < _SERVER_SECONDS:
            return known[1]
        with self._control.connect() as conn:
            server = servers.by_name(conn, name)
        self._servers[name] = time.monotonic(), server
        return server

    def _budget(self, server: Server) -> Budget[ConnectionPoolEntry]:
        with self._lock:
            if server.name not in self._budgets:
                self._budgets[server.name] = Budget[ConnectionPoolEntry](
                    self._settings.connection_budget, self._settings.connections_per_tenant
                )
            return self._budgets[server.name]

    def _load(self, slug: str) -> Tenant:
        with self._control.connect() as conn:
            return self._note(tenants.by_slug(conn, slug))

    def _note(self, tenant: Tenant) -> Tenant:
        """Return the newest record there is; a new generation retires the connections made for the old one."""
        with self._lock:
            known = self._newest.get(tenant.id)
            if known and known.generation > tenant.generation:
                return known
            self._newest[tenant.id] = tenant
        if known and known.generation < tenant.generation:
            self._retire(known)
        return tenant

    def _retire(self, tenant: Tenant) -> None:
        with self._lock:
            target = self._targets.pop(_key(tenant), None)
        if target:
            target.budget.retire(target.key)


def check_open(tenant: Tenant) -> Tenant:
    """Return `tenant` if its workspace answers requests; otherwise raise what says why not."""
    if tenant.state is TenantState.ACTIVE:
        return tenant
    if tenant.state is TenantState.SUSPENDED:
        raise TenantSuspendedError("This workspace is suspended.")
    if tenant.state is TenantState.ERASED:
        raise UnknownHostError("There is no workspace at this address.")
    doing = {
        TenantState.PENDING: "set up",
        TenantState.RESTORING: "restored from a backup",
        TenantState.MIGRATING: "upgraded",
    }[tenant.state]
    raise UnavailableError(f"This workspace is being {doing}; it will be back in a moment.", retry_after=5)


def _key(tenant: Tenant) -> str:
    return f"{tenant.placement_id}/{tenant.generation}"
