"""Shared tables with row-level security: one database, a `tenant_id` in each row, a policy that compares it.

After PostgreSQL's documentation, “Row Security Policies”, and SQLAlchemy's default pool.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import create_engine, insert, text

from .peer_schema import first_rows, marker_query, shared_tables
from .peer_server import ROLE, PeerServer, Request

_DATABASE = "shared"
_SET_TENANT = text("SELECT set_config('app.tenant_id', :tenant, true)")  # until the end of the transaction


@dataclass(frozen=True)
class SharedTables:
    """One pool for everybody; each transaction says whose it is."""

    server: PeerServer
    name: str = "shared tables, row-level security"
    affinity: bool = False

    def set_up(self, tenants: int) -> float:
        """Make so many tenants and return the milliseconds for each."""
        self.server.make_role()
        with self.server.admin() as admin:
            admin.execute(f"CREATE DATABASE {_DATABASE}")
        self._make_tables()
        engine = create_engine(self.server.url(_DATABASE))
        category = shared_tables().tables["category"]
        began = time.perf_counter()
        for index in range(tenants):
            with engine.begin() as conn:
                conn.execute(_SET_TENANT, {"tenant": str(index)})
                conn.execute(insert(category), [{"tenant_id": index, **row} for row in first_rows(index)])
        spent = time.perf_counter() - began
        engine.dispose()
        return spent * 1000 / tenants

    @contextmanager
    def opened(self) -> Generator[Request]:
        """Yield what makes requests in this process."""
        engine = create_engine(self.server.url(_DATABASE))
        query = marker_query(shared_tables())

        def request(index: int) -> object:
            with engine.begin() as conn:
                conn.execute(_SET_TENANT, {"tenant": str(index)})
                return conn.execute(query).scalar_one()

        yield request
        engine.dispose()

    def tear_down(self) -> None:
        """Drop everything."""
        with self.server.admin() as admin:
            admin.execute(f"DROP DATABASE {_DATABASE} WITH (FORCE)")
        self.server.drop_role()

    def _make_tables(self) -> None:
        """Make the tables as the superuser, so that the application's login does not own, and so bypass, the policy."""
        metadata = shared_tables()
        with self.server.admin(_DATABASE) as admin:
            engine = create_engine("postgresql+psycopg://", creator=lambda: admin)
            metadata.create_all(engine)
            for table in metadata.sorted_tables:
                admin.execute(f"ALTER TABLE {table.name} ENABLE ROW LEVEL SECURITY")
                admin.execute(
                    f"CREATE POLICY own ON {table.name} USING (tenant_id = current_setting('app.tenant_id')::integer)"
                )
            admin.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {ROLE}")
            admin.execute("ANALYZE")
