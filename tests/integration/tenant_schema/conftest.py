"""A database with the tables of a workspace, and a transaction in it that every test rolls back."""

from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.pool import NullPool

from strongroom.config.settings import Settings
from strongroom.platform.keys import FieldCipher, TenantKeys
from strongroom.provisioning.postgres.configuration import SUPERUSER
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.tenant_schema.migrate import upgrade

OWNER = "schema_test_own"


def engine_as_owner(admin: URL, database: str) -> Engine:
    """Connects to `database` as the bootstrap user and becomes the owner role, as the migrator does."""
    engine = create_engine(admin.set(database=database), poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def become_owner(connection: psycopg.Connection, _record: object) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.execute(f"SET ROLE {OWNER}")
        connection.commit()

    return engine


@pytest.fixture(scope="session")
def admin_url(reachable_tmp: Path) -> Generator[URL]:
    """A server of its own: databases without roles and gates would disturb the tests of the shared one."""
    base = reachable_tmp / "schema"
    server = EmbeddedServer(Settings(home=base / "home", backup_root=base / "backups"))
    server.initialise()
    with server.session(), server.admin_door():
        where = {"host": str(server.socket_dir), "port": str(server.port)}
        yield URL.create("postgresql+psycopg", username=SUPERUSER, database="postgres", query=where)


class Databases:
    """Makes empty databases, each with a schema `app` that the owner role owns, and drops them at the end."""

    def __init__(self, admin: URL) -> None:
        self._admin = admin
        self._names: list[str] = []

    def new(self) -> Engine:
        name = f"schema_test_{len(self._names)}"
        self._names.append(name)
        self._in_autocommit("postgres", f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
        self._in_autocommit(name, f"CREATE SCHEMA app AUTHORIZATION {OWNER}")
        return engine_as_owner(self._admin, name)

    def make_role(self) -> None:
        self._in_autocommit("postgres", f"DROP ROLE IF EXISTS {OWNER}", f"CREATE ROLE {OWNER}")

    def drop_all(self) -> None:
        drops = [f"DROP DATABASE {name} WITH (FORCE)" for name in self._names]
        self._in_autocommit("postgres", *drops, f"DROP ROLE {OWNER}")

    def _in_autocommit(self, database: str, *statements: str) -> None:
        engine = create_engine(self._admin.set(database=database), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))


@pytest.fixture(scope="session")
def databases(admin_url: URL) -> Generator[Databases]:
    made = Databases(admin_url)
    made.make_role()
    yield made
    made.drop_all()


@pytest.fixture(scope="session")
def schema_engine(databases: Databases) -> Engine:
    engine = databases.new()
    with engine.begin() as connection:
        upgrade(connection)
    return engine


@pytest.fixture
def conn(schema_engine: Engine) -> Generator[Connection]:
    with schema_engine.connect() as connection:
        yield connection


@pytest.fixture(scope="session")
def cipher() -> FieldCipher:
    return FieldCipher(TenantKeys.generate("abcdefghijklmnop"))
