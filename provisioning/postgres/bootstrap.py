"""What a PostgreSQL server gets before it holds tenants: roles, functions, the control database, the template.

The only place where the superuser acts. Afterwards each part of the platform has a role of its own (security.md).
"""

from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from ...platform.keys import KeyStore
from .embedded import EmbeddedServer

_SQL = Path(__file__).with_name("sql")
_LOGINS = ("strongroom_control", "strongroom_provisioner", "strongroom_migrator", "strongroom_backup")
_CONTROL = "strongroom_control"
_TEMPLATE = "strongroom_template"

Session = psycopg.Connection[Any]


def bootstrap_server(server: EmbeddedServer, keys: KeyStore) -> None:
    """Bring a running server to the state described above. Idempotent: it resumes where a killed one stopped."""
    with server.connect_admin() as session:
        _run(session, "roles.sql")
        _set_logins(session, keys)
        _run(session, "functions.sql")
        _make_control_database(session)
        _make_template(session, server)


def _run(session: Session, name: str) -> None:
    session.execute((_SQL / name).read_bytes())


def _set_logins(session: Session, keys: KeyStore) -> None:
    """Give each role its verifier; the server never sees a password."""
    for role in _LOGINS:
        verifier = keys.service_credential(role).verifier
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier))
        session.execute(statement)


def _make_control_database(session: Session) -> None:
    _make_database(session, _CONTROL, owner=_CONTROL)
    _on_database(session, _CONTROL, "GRANT CONNECT ON DATABASE {database} TO strongroom_backup")
    _on_database(session, _CONTROL, "ALTER DATABASE {database} ALLOW_CONNECTIONS true")


def _make_template(session: Session, server: EmbeddedServer) -> None:
    """Make the template without the schema `app`, closed to connections. The mark of completion is IS_TEMPLATE."""
    if _is_template(session):
        return
    _make_database(session, _TEMPLATE, owner="strongroom_owner")
    _on_database(session, _TEMPLATE, "GRANT CONNECT ON DATABASE {database} TO strongroom_migrator")
    _on_database(session, _TEMPLATE, "ALTER DATABASE {database} ALLOW_CONNECTIONS true")
    with server.connect_admin(_TEMPLATE) as inside:
        _run(inside, "template.sql")
    _on_database(session, _TEMPLATE, "ALTER DATABASE {database} ALLOW_CONNECTIONS false IS_TEMPLATE true")


def _is_template(session: Session) -> bool:
    row = session.execute("SELECT datistemplate FROM pg_database WHERE datname = %s", (_TEMPLATE,)).fetchone()
    return row is not None and bool(row[0])


def _make_database(session: Session, name: str, owner: str) -> None:
    """Make an empty database that nobody may use yet, unless it is there."""
    if session.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
        statement = "CREATE DATABASE {} OWNER {} TEMPLATE template0 ALLOW_CONNECTIONS false"
        session.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(owner)))
    _on_database(session, name, "REVOKE ALL ON DATABASE {database} FROM PUBLIC")


def _on_database(session: Session, name: str, statement: str) -> None:
    session.execute(sql.SQL(statement).format(database=sql.Identifier(name)))  # pyright: ignore[reportArgumentType]  # literals of this module
