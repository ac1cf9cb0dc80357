"""What the load of driving.py is put on: our registry, and the pool that everybody writes first."""

import threading
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from driving import Request

from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import Tenant

SQL = "SELECT id, name FROM app.category WHERE name = %s"
NAME = "Travel"


@dataclass(frozen=True)
class Strongroom:
    """Host → tenant → its connection with its own credential, under a budget for all processes together."""

    home: Path
    budget: int  # of one process
    affinity: bool = True

    @contextmanager
    def opened(self) -> Generator[Request]:
        """Yield a routed request."""
        with open_platform(load_settings(self.home, connection_budget=self.budget)) as platform:
            hosts = [f"{tenant.slug}.localhost" for tenant in active(platform)]
            registry = platform.registry

            def request(index: int) -> object:
                with registry.borrow(registry.resolve(hosts[index])) as conn:
                    return conn.execute(SQL, (NAME,)).fetchone()

            yield request


@dataclass(frozen=True)
class NaiveLru:
    """One bounded cache of connections; whoever misses at the bound closes the least recently used idle one."""

    home: Path
    budget: int
    affinity: bool = False

    @contextmanager
    def opened(self) -> Generator[Request]:
        """Yield a request that takes a connection from the cache, without our registry."""
        with open_platform(load_settings(self.home)) as platform:
            cache = LruCache(platform, self.budget)

            def request(index: int) -> object:
                connection = cache.take(index)
                try:
                    return connection.execute(SQL, (NAME,)).fetchone()
                finally:
                    cache.give_back(index, connection)

            yield request
            cache.close()


class LruCache:
    """The cache, for one process."""

    def __init__(self, platform: Platform, budget: int) -> None:
        self._tenants = active(platform)
        self._platform = platform
        with platform.control.connect() as conn:
            self._server = servers.list_all(conn)[0]
        self._budget = budget
        self._open = 0
        self._idle: OrderedDict[psycopg.Connection, int] = OrderedDict()  # the one used longest ago first
        self._of: dict[int, list[psycopg.Connection]] = {}
        self._lock = threading.Condition()

    def take(self, index: int) -> psycopg.Connection:
        """Return a connection to the tenant of that index."""
        victim = None
        with self._lock:
            while True:
                if self._of.get(index):
                    mine = self._of[index].pop()
                    del self._idle[mine]
                    return mine
                if self._open < self._budget:
                    self._open += 1
                    break
                if self._idle:
                    victim, owner = self._idle.popitem(last=False)
                    self._of[owner].remove(victim)
                    break
                self._lock.wait()
        if victim:
            victim.close()
        return self._connect(self._tenants[index])

    def give_back(self, index: int, connection: psycopg.Connection) -> None:
        with self._lock:
            self._idle[connection] = index
            self._of.setdefault(index, []).append(connection)
            self._lock.notify()

    def close(self) -> None:
        for connection in self._idle:
            connection.close()

    def _connect(self, tenant: Tenant) -> psycopg.Connection:
        credential = self._platform.keys.placement(tenant.placement_id or "")
        where = self._server.conninfo_params(tenant.database)
        return psycopg.connect(**where, **credential.conninfo_params(), autocommit=True)


def active(platform: Platform) -> list[Tenant]:
    """The tenants in the order of their slugs: their index in a load."""
    with platform.control.connect() as conn:
        return [tenant for tenant in tenants.list_all(conn) if tenant.slug.startswith("bench-")]
