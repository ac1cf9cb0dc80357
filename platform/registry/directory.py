"""What this process knows about tenants and servers, and whether it may still believe it."""

import threading
import time
from collections.abc import Callable, Iterable

from sqlalchemy import Engine

from ..servers import queries as servers
from ..servers.records import Server
from ..tenants import queries as tenants
from ..tenants.records import Tenant
from .cache import TenantCache
from .trust import Trust

_SERVER_SECONDS = 60.0  # how old the address of a server may be when nobody told of a change


class Directory:
    """Reads records from the control database and keeps them as long as `Trust` says. Thread-safe."""

    def __init__(self, control: Engine, trust: Trust, newer: Callable[[str, int], None]) -> None:
        """`newer` is called with id and generation when a record is read that is newer than the one known."""
        self._control = control.execution_options(isolation_level="AUTOCOMMIT")  # only single look-ups
        self._trust = trust
        self._newer = newer
        self._cache = TenantCache(self._read_by_slug, trust)
        self._lock = threading.Lock()
        self._newest: dict[str, tuple[float, Tenant]] = {}  # by id: when reading began, the newest record read
        self._heard: dict[str, int] = {}  # by id: the highest generation that is known to exist
        self._servers: dict[str, tuple[float, Server]] = {}
        self.server_changes = 0  # heard of; what was read before may be outdated

    def by_slug(self, slug: str) -> Tenant | None:
        """Return the tenant of that slug, `None` where there is none."""
        return self._cache.by_slug(slug)

    def by_id(self, tenant_id: str) -> Tenant:
        """Read a tenant's present record. Raises `NotFoundError`."""
        return self._read_by_id(tenant_id)[1]

    def newest(self, tenant: Tenant) -> tuple[float, Tenant]:
        """Return the newest record of a tenant that counts, and when reading it began. Raises `NotFoundError`."""
        known = self._newest.get(tenant.id)
        if known and known[1].generation >= self.heard(tenant) and self._trust.holds(known[0], known[0]):
            return known
        return self._read_by_id(tenant.id)

    def heard(self, tenant: Tenant) -> int:
        """Return the highest generation of a tenant that is known to exist."""
        return max(tenant.generation, self._heard.get(tenant.id, 0))

    def outdate(self, tenant_id: str, generation: int, slugs: Iterable[str]) -> bool:
        """Note that a tenant has that generation, and has or had these slugs. Return whether that is news."""
        with self._lock:
            is_news = self._heard.get(tenant_id, 0) < generation
            if is_news:
                self._heard[tenant_id] = generation
        self._cache.outdate(tenant_id, generation, slugs)
        return is_news

    def forget(self, tenant: Tenant) -> None:
        """Read a tenant's record again when it is next asked for."""
        self._cache.forget(tenant.slug)
        with self._lock:
            self._newest.pop(tenant.id, None)

    def server(self, name: str) -> Server:
        """Return a server. Raises `NotFoundError`."""
        known = self._servers.get(name)
        if known and time.monotonic() - known[0] < _SERVER_SECONDS:
            return known[1]
        read, changes = time.monotonic(), self.server_changes
        with self._control.connect() as conn:
            server = servers.by_name(conn, name)
        with self._lock:
            if changes == self.server_changes:
                self._servers[name] = read, server
        return server

    def outdate_server(self, name: str) -> None:
        """Read a server's record again when it is next asked for."""
        with self._lock:
            self.server_changes += 1
            self._servers.pop(name, None)

    def _read_by_id(self, tenant_id: str) -> tuple[float, Tenant]:
        read = time.monotonic()
        with self._control.connect() as conn:
            return self._noted(read, tenants.by_id(conn, tenant_id))

    def _read_by_slug(self, slug: str) -> Tenant:
        read = time.monotonic()
        with self._control.connect() as conn:
            return self._noted(read, tenants.by_slug(conn, slug))[1]

    def _noted(self, read: float, tenant: Tenant) -> tuple[float, Tenant]:
        """Keep a record that was just read, unless a newer one is there."""
        with self._lock:
            known = self._newest.get(tenant.id)
            if known and known[1].generation > tenant.generation:
                return known
            self._newest[tenant.id] = read, tenant
        if known and known[1].generation < tenant.generation:
            self._newer(tenant.id, tenant.generation)
        return read, tenant
