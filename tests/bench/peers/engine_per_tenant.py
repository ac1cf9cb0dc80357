"""A database and a SQLAlchemy engine per tenant, kept in a dictionary: QueuePool with its default settings.

After SQLAlchemy's documentation, “Engine Configuration” and “Connection Pooling”.
"""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine, create_engine, insert

from .peer_schema import first_rows, marker_query, own_tables
from .peer_server import PeerServer, Request, as_many_files_as_allowed


@dataclass(frozen=True)
class EnginePerTenant:
    """Nothing bounds all pools together: five connections and ten more for each tenant."""

    server: PeerServer
    name: str = "one SQLAlchemy engine per tenant"
    affinity: bool = False

    def set_up(self, tenants: int) -> float:
        """Make so many tenants and return the milliseconds for each."""
        self.server.make_role()
        return make_databases(self.server, tenants)

    @contextmanager
    def opened(self) -> Generator[Request]:
        """Yield what makes requests in this process."""
        as_many_files_as_allowed()
        engines: dict[int, Engine] = {}
        lock = threading.Lock()
        query = marker_query(own_tables())

        def engine_of(index: int) -> Engine:
            with lock:
                if index not in engines:
                    engines[index] = create_engine(self.server.url(database_of(index)))
                return engines[index]

        def request(index: int) -> object:
            with engine_of(index).connect() as conn:
                return conn.execute(query).scalar_one()

        yield request
        for engine in engines.values():
            engine.dispose()

    def tear_down(self) -> None:
        """Drop everything."""
        self.server.drop_role()


def make_databases(server: PeerServer, tenants: int) -> float:
    """Make a database with its tables for each tenant and return the milliseconds for each."""
    maintenance = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
    metadata = own_tables()
    began = time.perf_counter()
    with maintenance.connect() as control:
        for index in range(tenants):
            control.exec_driver_sql(f"CREATE DATABASE {database_of(index)}")
            engine = create_engine(server.url(database_of(index)))
            with engine.begin() as conn:
                metadata.create_all(conn)
                conn.execute(insert(metadata.tables["category"]), first_rows(index))
            engine.dispose()
    spent = time.perf_counter() - began
    maintenance.dispose()
    return spent * 1000 / tenants


def database_of(index: int) -> str:
    """Name of a tenant's database."""
    return f"tenant_{index}"
