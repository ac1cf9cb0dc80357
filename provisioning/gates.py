"""The grants of a placement: closed before anybody can connect, set inside, checked before a tenant is let in.

Used at creation and after every restore, clone and move: `pg_restore` without `-C` leaves a database with the default
access list, which lets every role of the server in (security.md).
"""

from psycopg import sql

from ..config.errors import VerificationError
from ..platform.control.platform import Platform
from ..platform.servers.records import Server
from ..tenant_schema.tables import SCHEMA
from . import database
from .isolation import inside, outside
from .isolation.finding import Finding
from .names import TEMPLATE_OWNER, Names
from .sessions import Session, migrator, provisioner

# Append-only and read-only tables: what the login may not do there although it may everywhere else.
WITHHELD = {"audit_event": "UPDATE, DELETE", "alembic_version": "INSERT, UPDATE, DELETE"}

_REVISION = sql.SQL("SELECT version_num FROM {}.alembic_version").format(sql.Identifier(SCHEMA))


def adopt_objects(platform: Platform, server: Server, pid: str) -> str | None:
    """Give the objects inside to the placement's owner role, and to its login the rights on rows.

    Returns the schema's revision.

    Idempotent; also after a schema upgrade or a restore, which add tables. Durable with `close_gates`, not before.
    """
    names = Names(pid)
    with migrator(platform, server, names.database) as session:
        session.execute("SET synchronous_commit = off")
        adopt(session, names)
        row = session.execute(_REVISION).fetchone()
    return row[0] if row else None


def adopt(session: Session, names: Names) -> None:
    """Do what `adopt_objects` does in the migrator's `session`; in its transaction, where one is open."""
    withheld = "".join(f"REVOKE {rights} ON {SCHEMA}.{table} FROM {{role}};" for table, rights in WITHHELD.items())
    statements = f"""
        SET LOCAL ROLE NONE;
        GRANT CREATE ON SCHEMA {SCHEMA} TO {{owner}};
        REASSIGN OWNED BY {{template_owner}} TO {{owner}};
        SET LOCAL ROLE {{owner}};
        REVOKE ALL ON SCHEMA {SCHEMA} FROM PUBLIC;
        REVOKE ALL ON ALL TABLES IN SCHEMA {SCHEMA} FROM PUBLIC;
        REVOKE ALL ON ALL SEQUENCES IN SCHEMA {SCHEMA} FROM PUBLIC;
        REVOKE ALL ON ALL ROUTINES IN SCHEMA {SCHEMA} FROM PUBLIC;
        GRANT USAGE ON SCHEMA {SCHEMA} TO {{role}};
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO {{role}};
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA {SCHEMA} TO {{role}};
        {withheld}
    """
    session.execute(
        sql.SQL(statements).format(  # pyright: ignore[reportArgumentType]  # made of this module's literals
            template_owner=sql.Identifier(TEMPLATE_OWNER),
            owner=sql.Identifier(names.owner),
            role=sql.Identifier(names.role),
        )
    )


def close_gates(platform: Platform, server: Server, pid: str) -> None:
    """Set the database's access list to its own login, migrator and backup, whatever it was, and open it to them."""
    with provisioner(platform, server) as session:
        database.open_to_tenant(session, Names(pid))


def verify_gates(platform: Platform, server: Server, pid: str) -> None:
    """Raise `VerificationError` naming the first gap unless this placement is as closed as it should be."""
    found = gate_findings(platform, server, pid)
    if found:
        raise VerificationError(f"The database {found[0].where} is not closed: it {found[0].sentence}.")


def gate_findings(platform: Platform, server: Server, pid: str) -> list[Finding]:
    """Return every gap of one placement: its access list, roles and memberships, and what is inside."""
    names = Names(pid)
    with provisioner(platform, server) as session:
        found = outside.placement_findings(session, [names])
    with migrator(platform, server, names.database) as session:
        return found + inside.findings(session, names)
