"""The way from a host name to a tenant and to a connection with that tenant's own credential.

No tenant is an error, never a default: every method that opens something takes the tenant as an argument.
"""

import itertools
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from ...config.errors import StrongroomError, TenantSuspendedError, UnavailableError, UnknownHostError
from ...config.settings import Settings
from ..keys import KeyStore
from ..tenants.records import Tenant
from ..tenants.states import TenantState
from .access import ServerAccess
from .address import tenant_address
from .changes import Changes
from .connection import TenantConnection
from .directory import Directory
from .hosts import workspace_of
from .keeper import Keeper
from .pool import Target, TenantChangedError, TenantPool, tenant_engine
from .trust import Trust

T = TypeVar("T")

_CHANGES = 5  # of a tenant, one after the other, while it is being reached
_FIRST_LEASE_SECONDS = 5.0  # at most so long the first use of a server waits for the keeper


class Loan:
    """The connection inside the block, back in the registry afterwards. A class, because each request pays for it."""

    __slots__ = ("_entry", "_registry", "_tenant")

    def __init__(self, registry: "Registry", tenant: Tenant) -> None:
        self._registry = registry
        self._tenant = tenant

    def __enter__(self) -> TenantConnection:
        entry = self._registry.take(self._tenant)
        self._entry = entry
        connection: TenantConnection = entry.dbapi_connection  # pyright: ignore[reportAssignmentType]  # by the pool
        connection.set_idle_autocommit(True)
        return connection

    def __exit__(self, *_: object) -> None:
        self._registry.give_back(self._entry)


class Registry:
    """Routes one process's requests and jobs to their tenants' databases. Thread-safe; not for use after a fork."""

    def __init__(self, settings: Settings, keys: KeyStore, control_engine: Engine, kind: str = "command") -> None:
        """`kind` says what the process is: web, worker or command."""
        self._settings = settings
        self._keys = keys
        self._pool = TenantPool()
        self._engine = tenant_engine(self._pool)
        self._trust = Trust(settings.tenant_cache_seconds)
        self._directory = Directory(control_engine, self._trust, self._retire_older)
        self._lock = threading.Lock()
        self._targets: dict[str, Target] = {}  # by tenant id
        self._accesses: dict[str, ServerAccess] = {}  # by server
        self._serial = itertools.count()
        changes = Changes(self._tenant_changed, self._server_changed)
        self._keeper = Keeper(settings, keys, kind, self._trust, changes, self._all_accesses)
        self.give_back = self._pool.give_back

    def resolve(self, host: str) -> Tenant:
        """Return the active tenant that a Host header names.

        Raises `UnknownHostError`, `TenantSuspendedError`, or `UnavailableError` while the workspace is being set up,
        restored or upgraded.
        """
        self._keeper.start()
        slug = workspace_of(host, self._settings.base_domain)
        tenant = self._directory.by_slug(slug) if slug else None
        if tenant is None:
            raise UnknownHostError("There is no workspace at this address.")
        return check_open(tenant)

    def tenant_by_id(self, tenant_id: str) -> Tenant:
        """Read a tenant's present record, whatever its state. Raises `NotFoundError`."""
        return self._directory.by_id(tenant_id)

    @contextmanager
    def connect(self, tenant: Tenant, *, before_opening: bool = False) -> Generator[Connection]:
        """Lend a connection to the tenant's database as the tenant's own role; nothing is committed by itself.

        `before_opening`: for provisioning, which writes into a workspace that nobody may use yet; such a connection is
        closed afterwards. Raises `UnavailableError` when none is to be had within the check-out time-out,
        `TenantSuspendedError` … as `resolve` does.
        """
        if before_opening:
            with self._connected_once(tenant) as connection:
                yield connection
            return
        with self._use_newest(tenant, self._connected) as connection:
            yield connection

    def borrow(self, tenant: Tenant) -> Loan:
        """Lend the psycopg connection itself, in autocommit mode: for COPY and for single hot statements."""
        return Loan(self, tenant)

    def take(self, tenant: Tenant) -> ConnectionPoolEntry:
        """Take a tenant's connection out; `give_back` takes it back. `borrow` is how to use it."""
        return self._use_newest(tenant, self._pool.take)

    def forget(self, tenant: Tenant) -> None:
        """Close this process's idle connections to the tenant and read its record again at the next request."""
        self._directory.forget(tenant)
        with self._lock:
            target = self._targets.pop(tenant.id, None)
        _retire([target] if target else [])

    def stats(self) -> dict[str, Any]:
        """Return by server: the counters, the breaker's state, and the busiest tenants of this process."""
        return {access.name: access.stats() for access in self._all_accesses()}

    def close(self) -> None:
        """Close the idle connections; busy ones are closed when they come back. Nothing can be opened afterwards."""
        for access in self._all_accesses():
            access.budget.close()
        self._keeper.stop()

    @contextmanager
    def _connected_once(self, tenant: Tenant) -> Generator[Connection]:
        target = self._new_target(tenant, 0.0, direct=True)  # a pooler may not know the login yet
        try:
            with self._pool.wanting(target):
                connection = self._engine.connect()
            with connection:
                yield connection
        finally:
            _retire([target])

    def _connected(self, target: Target) -> Connection:
        with self._pool.wanting(target):
            return self._engine.connect()

    def _use_newest(self, tenant: Tenant, use: Callable[[Target], T]) -> T:
        """Use the tenant's target, and the next one when that is outdated meanwhile; which may happen again."""
        for _ in range(_CHANGES):
            with suppress(TenantChangedError):
                return use(self._target(tenant))
        return use(self._target(tenant))

    def _target(self, tenant: Tenant) -> Target:
        """Return where to find the tenant's database, for the newest record of it that this process knows."""
        target = self._targets.get(tenant.id)
        if target and target.generation == tenant.generation and self._trust.holds(target.read, target.kept):
            return target
        return self._present_target(tenant)

    def _present_target(self, tenant: Tenant) -> Target:
        self._keeper.start()
        read, newest = self._directory.newest(tenant)
        if newest.placement_id != tenant.placement_id:
            raise UnavailableError("This workspace has just been moved; try again.", retry_after=1)
        check_open(newest)
        target = self._targets.get(tenant.id)
        if target and target.generation == newest.generation:
            target.read = max(target.read, read)
            return target
        server_changes = self._directory.server_changes
        return self._kept(newest, self._new_target(newest, read), server_changes)

    def _kept(self, tenant: Tenant, target: Target, server_changes: int) -> Target:
        """Keep a new target, unless another thread was first or what it was made from is outdated by now."""
        with self._lock:
            known = self._targets.get(tenant.id)
            if known and known.generation >= target.generation:
                return known
            is_outdated = self._directory.heard(tenant) > tenant.generation
            if is_outdated or self._directory.server_changes != server_changes:
                raise TenantChangedError
            self._targets[tenant.id] = target
        _retire([known] if known else [])
        return target

    def _new_target(self, tenant: Tenant, read: float, *, direct: bool = False) -> Target:
        assert tenant.placement_id, "an open workspace has a placement"
        server = self._directory.server(tenant.server)
        return Target(
            # Never used twice: what was retired stays retired. What is before the slash is whom it counts for.
            key=f"{tenant.id}/{tenant.placement_id}/{next(self._serial)}",
            access=self._access(server.name),
            credential=self._keys.placement(tenant.placement_id),
            database=tenant.database,
            address=tenant_address(server, self._settings, direct=direct),
            timeout=self._settings.checkout_timeout,
            generation=tenant.generation,
            read=read,
            kept=time.monotonic(),
            logins=partial(self._keys.possible_logins, tenant.placement_id),
        )

    def _access(self, server: str) -> ServerAccess:
        """Return the way into a server, once the keeper knows how many connections this process may have there."""
        with self._lock:
            access = self._accesses.get(server)
            if access is None:
                access = self._accesses[server] = ServerAccess(
                    server, self._settings.connection_budget, self._settings.connections_per_tenant, self._keeper.wake
                )
        if not access.has_lease.is_set():
            self._keeper.start()
            self._keeper.wake()
            access.has_lease.wait(max(_FIRST_LEASE_SECONDS, self._settings.checkout_timeout))
        return access

    def _all_accesses(self) -> list[ServerAccess]:
        with self._lock:
            return list(self._accesses.values())

    # What the keeper reports.

    def _tenant_changed(self, tenant_id: str, generation: int, slugs: Iterable[str]) -> None:
        if self._directory.outdate(tenant_id, generation, slugs):
            self._retire_older(tenant_id, generation)

    def _retire_older(self, tenant_id: str, generation: int) -> None:
        with self._lock:
            target = self._targets.get(tenant_id)
            if target is None or target.generation >= generation:
                return
            del self._targets[tenant_id]
        _retire([target])

    def _server_changed(self, name: str) -> None:
        """Close what was opened to where a server no longer is."""
        self._directory.outdate_server(name)
        with self._lock:
            concerned = {key: target for key, target in self._targets.items() if target.access.name == name}
        if not concerned:
            return
        try:
            address = tenant_address(self._directory.server(name), self._settings)
        except (StrongroomError, SQLAlchemyError):  # whoever wants in next will see
            address = None
        with self._lock:
            moved = {key: target for key, target in concerned.items() if target.address != address}
            for key, target in moved.items():
                if self._targets.get(key) is target:
                    del self._targets[key]
        _retire(list(moved.values()))


def _retire(targets: list[Target]) -> None:
    """Open nothing for these targets any more; close what is idle now and what is busy when it returns."""
    keys: dict[ServerAccess, list[str]] = {}
    for target in targets:
        target.is_retired = True  # before the budget forgets the key: who comes later opens nothing
        keys.setdefault(target.access, []).append(target.key)
    for access, of_server in keys.items():
        access.budget.retire(*of_server)


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
