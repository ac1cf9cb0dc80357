"""What is done to a placement's database as a whole, by the provisioner, from outside of it."""

import time

import psycopg
from psycopg import sql

from ..config.errors import FailedError
from .names import BACKUP, MIGRATOR, OWNER, TEMPLATE, Names
from .sessions import Session

_TRIES = 5
_GRANTEES = """
    SELECT DISTINCT g.rolname FROM pg_database d, aclexplode(d.datacl) a JOIN pg_roles g ON g.oid = a.grantee
    WHERE d.datname = %s AND a.grantee <> d.datdba
"""


def make_roles(session: Session, names: Names, verifier: str, connection_limit: int) -> None:
    """Make the login (from a SCRAM verifier, never a password) and the owner role, or set them as they should be."""
    session.execute("SELECT strongroom.create_tenant_roles(%s, %s, %s)", (names.pid, verifier, connection_limit))


def drop_roles(session: Session, names: Names) -> None:
    """Drop both roles; they own nothing any more once the database is gone."""
    with session.transaction():
        session.execute("SET LOCAL synchronous_commit = on")
        session.execute("SELECT strongroom.drop_tenant_roles(%s)", (names.pid,))


def exists(session: Session, name: str) -> bool:
    """Say whether the server has a database of that name."""
    return session.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None


def create(session: Session, names: Names) -> None:
    """Copy the template to a database that nobody can connect to yet. Does nothing if it is there."""
    if exists(session, names.database):
        return
    statement = sql.SQL(
        "CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY wal_log ALLOW_CONNECTIONS false IS_TEMPLATE false"
    ).format(sql.Identifier(names.database), sql.Identifier(OWNER), sql.Identifier(TEMPLATE))
    for last in (False,) * (_TRIES - 1) + (True,):
        try:
            session.execute(statement)
        except psycopg.errors.DuplicateDatabase:
            return  # the statement of a worker that was killed went on in the server
        except psycopg.errors.ObjectInUse as error:
            # “source database is being accessed by other users”: the template is just being brought up to date.
            if last:
                raise FailedError("The database template is in use; try again in a minute.") from error
            time.sleep(0.2)
        else:
            return


def open_to_migrator(session: Session, names: Names) -> None:
    """Take everything from PUBLIC, then let only the migrator in, which may hand the schema to its owner."""
    _as_owner(
        session,
        names,
        """
        REVOKE ALL ON DATABASE {database} FROM PUBLIC, {role}, {backup}, {owner};
        GRANT CONNECT, CREATE ON DATABASE {database} TO {migrator};
        GRANT CREATE ON DATABASE {database} TO {owner};
        ALTER DATABASE {database} ALLOW_CONNECTIONS true;
        """,
    )


def open_to_tenant(session: Session, names: Names) -> None:
    """Set the access list of a finished database: its own login, migrator and backup may connect, nothing else."""
    _as_owner(
        session,
        names,
        """
        SET LOCAL synchronous_commit = on;
        REVOKE ALL ON DATABASE {database} FROM PUBLIC, {role}, {owner}, {migrator}, {backup};
        GRANT CONNECT ON DATABASE {database} TO {role}, {migrator}, {backup};
        ALTER DATABASE {database} ALLOW_CONNECTIONS true;
        """,
    )


def close(session: Session, names: Names) -> None:
    """Set the access list of a finished database, whoever it lets in; one that nobody may enter stays like that.

    Its settings, of which it should have none, go as well.
    """
    grantees = session.execute(_GRANTEES, (names.database,)).fetchall()
    strangers = sql.SQL("").join(
        sql.SQL("REVOKE ALL ON DATABASE {} FROM {};").format(sql.Identifier(names.database), sql.Identifier(row[0]))
        for row in grantees
    )
    _as_owner(
        session,
        names,
        strangers.as_string(None).replace("{", "{{").replace("}", "}}")
        + """
        REVOKE ALL ON DATABASE {database} FROM PUBLIC;
        GRANT CONNECT ON DATABASE {database} TO {role}, {migrator}, {backup};
        ALTER DATABASE {database} IS_TEMPLATE false;
        ALTER DATABASE {database} RESET ALL;
        """,
    )


def close_to_tenant(session: Session, names: Names) -> None:
    """Take the database from its own login and end that login's sessions; migrator and backup still get in."""
    revoke = "SET LOCAL synchronous_commit = on; REVOKE CONNECT ON DATABASE {database} FROM {role};"
    _as_owner(session, names, revoke)
    with session.transaction():
        session.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
        own = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND usename = %s"
        session.execute(own, (names.database, names.role))


def fence(session: Session, names: Names) -> None:
    """Let nobody in any more and end the sessions that are there."""
    if not exists(session, names.database) or _is_half_dropped(session, names):
        return
    _as_owner(session, names, "ALTER DATABASE {database} ALLOW_CONNECTIONS false;")
    terminate(session, names)


def _is_half_dropped(session: Session, names: Names) -> bool:
    """A server that crashed in the middle of a DROP DATABASE lets nobody in, and nothing be altered (since 15.4)."""
    query = "SELECT datconnlimit = -2 FROM pg_database WHERE datname = %s"
    row = session.execute(query, (names.database,)).fetchone()
    return row is not None and bool(row[0])


def terminate(session: Session, names: Names) -> None:
    """End every session in the database. Autovacuum, which is nobody, is not ours to end since PostgreSQL 18."""
    every = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usesysid IS NOT NULL"
    with session.transaction():
        session.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
        session.execute(every, (names.database,))


def drop(session: Session, names: Names) -> None:
    """Drop the database whoever is in it, and make sure that it is gone. Raises `FailedError` if it is not."""
    session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(OWNER)))
    try:
        session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(names.database)))
    finally:
        session.execute("RESET ROLE")
    if exists(session, names.database):
        raise FailedError(f"The database {names.database} is still there after it was dropped.")


def _as_owner(session: Session, names: Names, statements: str) -> None:
    """Run statements in one round trip as the role that owns the databases; one string is one transaction."""
    parts = {
        "database": names.database,
        "role": names.role,
        "owner": names.owner,
        "migrator": MIGRATOR,
        "backup": BACKUP,
        "platform": OWNER,
    }
    identifiers = {name: sql.Identifier(value) for name, value in parts.items()}
    session.execute(
        sql.SQL("SET LOCAL ROLE {platform};" + statements).format(**identifiers)  # pyright: ignore[reportArgumentType]  # literals of this module
    )
