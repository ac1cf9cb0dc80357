"""Connections of the platform's own roles to the servers that hold tenants. None of them is a superuser."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, NullPool, create_engine

from ..config.errors import UnavailableError
from ..platform.control.platform import Platform
from ..platform.keys import DatabaseCredential
from ..platform.registry.address import tls_parameters
from ..platform.servers.records import Server
from .names import MAINTENANCE, MIGRATOR, PROVISIONER

Session = psycopg.Connection[tuple[Any, ...]]


@contextmanager
def provisioner(platform: Platform, server: Server) -> Generator[Session]:
    """Yield a session that can make and drop databases and roles, in autocommit mode, and can read none of them.

    Its commits do not wait for the disk: every sequence of steps ends with one that does (`database.open_to_tenant`,
    CREATE and DROP DATABASE), and what is flushed then includes all that went before.
    """
    with open_as(platform, server, PROVISIONER, MAINTENANCE) as session:
        session.execute("SET synchronous_commit = off")
        yield session


@contextmanager
def migrator(platform: Platform, server: Server, database: str) -> Generator[Session]:
    """Yield a session in `database` that may become the owner of its objects, in autocommit mode."""
    with open_as(platform, server, MIGRATOR, database) as session:
        yield session


@contextmanager
def open_as(platform: Platform, server: Server, role: str, database: str) -> Generator[Session]:
    """Yield a session of one of the platform's roles. Raises `UnavailableError` when the server does not answer."""
    session = connect_as(platform, server, role, database)
    with session:
        yield session


def connect_as(platform: Platform, server: Server, role: str, database: str) -> Session:
    """Open what `open_as` yields; the caller closes it."""
    parameters: dict[str, Any] = {
        **login_parameters(platform, server, role, database),
        "autocommit": True,
        "options": "-c search_path=pg_catalog",
    }
    try:
        return psycopg.connect(**parameters)
    except psycopg.OperationalError as error:
        raise UnavailableError(f"The PostgreSQL server “{server.name}” cannot be reached as {role}.") from error


def login_parameters(platform: Platform, server: Server, role: str, database: str) -> dict[str, str]:
    """Return all that libpq needs to log in as one of the platform's own roles, in this process or in a child.

    Never through a pooler. Over TCP the server proves itself by its certificate where its authority is known, else by
    SCRAM bound to the TLS channel, which somebody in between cannot pass on.
    """
    tls = tls_parameters(server, server.host, platform.settings)
    if tls["sslmode"] == "require":
        tls["channel_binding"] = "require"
    return {
        **server.conninfo_params(database),
        **tls,
        "connect_timeout": "5",
        "application_name": "strongroom",
        "require_auth": "scram-sha-256",
        "gssencmode": "disable",
        **service_login(platform, server, role).conninfo_params(),
    }


def service_login(platform: Platform, server: Server, role: str) -> DatabaseCredential:
    """Return the login of one of the platform's own roles on a server; each external server has logins of its own."""
    return platform.keys.service_credential(role, server.name if server.kind == "external" else None)


@contextmanager
def migrator_connection(platform: Platform, server: Server, database: str) -> Generator[Connection]:
    """Yield the migrator's session as a SQLAlchemy connection, for Alembic; the caller begins and commits."""
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: _transactional(connect_as(platform, server, MIGRATOR, database)),
        poolclass=NullPool,
        use_native_hstore=False,
        hide_parameters=True,
    )
    with engine.connect() as connection:
        yield connection


def _transactional(session: Session) -> Session:
    session.autocommit = False
    return session
