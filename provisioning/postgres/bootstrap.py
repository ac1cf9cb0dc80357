"""What a PostgreSQL server gets before it holds tenants: roles, functions, the template; the first one also the control
database.

The only place where the superuser acts. Afterwards each part of the platform has a role of its own (security.md).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg import sql

from ...platform.keys import KeyStore
from ...platform.keys.store import SERVICE_ROLES
from .embedded import EmbeddedServer

_SQL = Path(__file__).with_name("sql")
_CONTROL = "strongroom_control"
_TEMPLATE = "strongroom_template"
# Code-point order and Unicode case mapping, the same on every server: a workspace that is moved sorts as before.
_CREATE = "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' ALLOW_CONNECTIONS false"
_BUILTIN_LOCALE = " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"
_LIBC_LOCALE = " LOCALE_PROVIDER libc LOCALE 'C.UTF-8'"  # before PostgreSQL 17

Session = psycopg.Connection[Any]


class Admin(Protocol):
    """Opens a session of the superuser in a database, in autocommit mode."""

    def __call__(self, dbname: str = ..., /) -> Session: ...  # noqa: D102 - said above


def bootstrap_server(server: EmbeddedServer, keys: KeyStore) -> None:
    """Set up the embedded server with the control database. Idempotent: it resumes where a killed one stopped."""
    verifiers = {role: keys.service_credential(role).verifier for role in SERVICE_ROLES}
    bootstrap(server.connect_admin, verifiers)
    with server.connect_admin() as session:
        _make_control_database(session)
    with server.connect_admin(_CONTROL) as session:
        _run(session, "archive.sql")


def bootstrap(admin: Admin, verifiers: Mapping[str, str]) -> None:
    """Bring a running server to the state in which it can hold tenants. Idempotent.

    `verifiers` are the SCRAM verifiers by role; a role that has none here cannot log in.
    """
    with admin() as session:
        _run(session, "roles.sql")
        _set_logins(session, verifiers)
        _run(session, "functions.sql")
        _make_template(session, admin)


def _run(session: Session, name: str) -> None:
    session.execute((_SQL / name).read_bytes())


def _set_logins(session: Session, verifiers: Mapping[str, str]) -> None:
    """Give each role its verifier; the server never sees a password."""
    for role, verifier in verifiers.items():
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier))
        session.execute(statement)


def _make_control_database(session: Session) -> None:
    _make_database(session, _CONTROL, owner=_CONTROL)
    _on_database(session, _CONTROL, "GRANT CONNECT ON DATABASE {database} TO strongroom_backup")
    _on_database(session, _CONTROL, "ALTER DATABASE {database} ALLOW_CONNECTIONS true")


def _make_template(session: Session, admin: Admin) -> None:
    """Make the template without the schema `app`, closed to connections. The mark of completion is IS_TEMPLATE."""
    if _is_template(session):
        return
    _make_database(session, _TEMPLATE, owner="strongroom_owner")
    _on_database(session, _TEMPLATE, "GRANT CONNECT ON DATABASE {database} TO strongroom_migrator")
    _on_database(session, _TEMPLATE, "ALTER DATABASE {database} ALLOW_CONNECTIONS true")
    with admin(_TEMPLATE) as inside:
        _run(inside, "template.sql")
    _on_database(session, _TEMPLATE, "ALTER DATABASE {database} ALLOW_CONNECTIONS false IS_TEMPLATE true")


def _is_template(session: Session) -> bool:
    row = session.execute("SELECT datistemplate FROM pg_database WHERE datname = %s", (_TEMPLATE,)).fetchone()
    return row is not None and bool(row[0])


def _make_database(session: Session, name: str, owner: str) -> None:
    """Make an empty database that nobody may use yet, unless it is there."""
    if session.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
        locale = _BUILTIN_LOCALE if session.info.server_version >= 170000 else _LIBC_LOCALE
        session.execute(sql.SQL(_CREATE + locale).format(sql.Identifier(name), sql.Identifier(owner)))
    _on_database(session, name, "REVOKE ALL ON DATABASE {database} FROM PUBLIC")


def _on_database(session: Session, name: str, statement: str) -> None:
    session.execute(sql.SQL(statement).format(database=sql.Identifier(name)))  # pyright: ignore[reportArgumentType]  # literals of this module
