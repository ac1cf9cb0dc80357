"""The template that new databases are copied from: schema `app` at the newest revision, closed to connections."""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import LiteralString

from psycopg import sql

from ..platform.control.platform import Platform
from ..platform.servers.records import Server
from ..tenant_schema.migrate import newest_revision
from .names import OWNER, TEMPLATE, TEMPLATE_OWNER
from .schema import upgrade_schema
from .sessions import Session

_REVISION = """
    SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s AND NOT datallowconn
"""


def ensure_template(platform: Platform, server: Server, session: Session) -> None:
    """Bring the template to the newest schema revision if it is not there; `session` is the provisioner's.

    One worker does it, the others wait. A worker killed on the way leaves a template without its mark of completion,
    which the next one brings up to date again.
    """
    if marked_revision(session) == newest_revision():
        return
    with _alone(session):
        if marked_revision(session) != newest_revision():
            with opened(session):
                revision = upgrade_schema(platform, server, TEMPLATE, TEMPLATE_OWNER)
            mark(session, revision)


@contextmanager
def ready_template(platform: Platform, server: Server, session: Session) -> Generator[None]:
    """Hold the template at the newest revision and free of sessions while it is copied inside the block.

    Any number may copy at the same time. Whoever brings it up to date waits until they have ended, and they for it:
    PostgreSQL refuses to copy a database that has a session.
    """
    while True:
        ensure_template(platform, server, session)
        with _locked(session, "_shared"):
            if marked_revision(session) == newest_revision():
                yield
                return


@contextmanager
def exclusively_opened(session: Session) -> Generator[None]:
    """Let the migrator into the template for the block; one process at a time, and nobody can copy it meanwhile."""
    with _alone(session), opened(session):
        yield


@contextmanager
def opened(session: Session) -> Generator[None]:
    """Let the migrator into the template for the block. A killed worker leaves it open; the next one refreshes it."""
    _as_owner(session, "ALTER DATABASE {template} ALLOW_CONNECTIONS true;")
    try:
        yield
    finally:
        _as_owner(session, "ALTER DATABASE {template} ALLOW_CONNECTIONS false;")


def mark(session: Session, revision: str) -> None:
    """Note on the template at which revision it is: the sign that its upgrade has come to its end."""
    _as_owner(session, "COMMENT ON DATABASE {template} IS " + sql.Literal(revision).as_string(None) + ";")


def _alone(session: Session) -> AbstractContextManager[None]:
    return _locked(session, "")


@contextmanager
def _locked(session: Session, kind: LiteralString) -> Generator[None]:
    session.execute(f"SELECT pg_advisory_lock{kind}(hashtextextended(%s, 0))", (TEMPLATE,))
    try:
        yield
    finally:
        session.execute(f"SELECT pg_advisory_unlock{kind}(hashtextextended(%s, 0))", (TEMPLATE,))


def marked_revision(session: Session) -> str | None:
    """Return the revision that the template was finished at; None while it is open or was never finished."""
    row = session.execute(_REVISION, (TEMPLATE,)).fetchone()
    return row[0] if row else None


def _as_owner(session: Session, statement: str) -> None:
    names = {"owner": sql.Identifier(OWNER), "template": sql.Identifier(TEMPLATE)}
    statements = "SET LOCAL ROLE {owner};" + statement
    session.execute(sql.SQL(statements).format(**names))  # pyright: ignore[reportArgumentType]  # our own literals
