"""The template that new databases are copied from: schema `app` at the newest revision, closed to connections."""

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
    if _revision(session) == newest_revision():
        return
    session.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (TEMPLATE,))
    try:
        if _revision(session) != newest_revision():
            _refresh(platform, server, session)
    finally:
        session.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (TEMPLATE,))


def _refresh(platform: Platform, server: Server, session: Session) -> None:
    _as_owner(session, "ALTER DATABASE {template} ALLOW_CONNECTIONS true;")
    try:
        revision = upgrade_schema(platform, server, TEMPLATE, TEMPLATE_OWNER)
    finally:
        _as_owner(session, "ALTER DATABASE {template} ALLOW_CONNECTIONS false;")
    _as_owner(session, "COMMENT ON DATABASE {template} IS " + sql.Literal(revision).as_string(None) + ";")


def _revision(session: Session) -> str | None:
    row = session.execute(_REVISION, (TEMPLATE,)).fetchone()
    return row[0] if row else None


def _as_owner(session: Session, statement: str) -> None:
    names = {"owner": sql.Identifier(OWNER), "template": sql.Identifier(TEMPLATE)}
    statements = "SET LOCAL ROLE {owner};" + statement
    session.execute(sql.SQL(statements).format(**names))  # pyright: ignore[reportArgumentType]  # our own literals
