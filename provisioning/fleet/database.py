"""The upgrade of one database: everything that is missing, and the mark of the revision, in one transaction."""

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from ...config.errors import FailedError, StrongroomError, UnavailableError
from ...platform.control.platform import Platform
from ...platform.servers.records import Server
from ...tenant_schema.migrate import knows_revision, upgrade
from ...tenant_schema.script import UpgradeScript, upgrade_script
from ...tenant_schema.tables import SCHEMA
from ..gates import adopt
from ..names import Names
from ..sessions import Session, migrator, migrator_connection
from . import fingerprint
from .expected import Expected

_MAKES_OBJECTS = re.compile(rb"\b(create|identity|\w*serial)\b", re.IGNORECASE)
_BEGIN = sql.SQL(
    "BEGIN; SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {statement}; SET LOCAL ROLE {owner};"
    " SELECT version_num FROM {schema}.alembic_version FOR UPDATE"
)
_ABOUT_STRUCTURE = ("42", "55", "57", "40", "0A")  # SQLSTATE classes whose message quotes no row


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an upgrade may wait and hold up others. While it waits for a lock, readers queue up behind it."""

    tries: int = 6
    lock_ms: int = 500
    statement_ms: int = 60_000
    pause: float = 0.1  # seconds; doubles with each try


PATIENCE = Patience()


def upgrade_database(
    platform: Platform, server: Server, names: Names, expected: Expected, folder: Path, patience: Patience
) -> None:
    """Bring a database to the expected revision, or leave it exactly as it was.

    Raises `FailedError` with the reason: also when the result would differ from the template.
    """

    def once() -> None:
        with migrator(platform, server, names.database) as session:
            found = _begin(session, names, patience)
            script = _script(found, folder)
            if script.statements is not None:
                _run(session, names, script.statements)
                _finish(session, expected)
                return
        _run_python(platform, server, names, expected, folder, patience)

    _patiently(once, patience)


def shape_of(platform: Platform, server: Server, names: Names) -> tuple[str, str]:
    """Return the revision written in a database and the fingerprint of what it really has."""
    with migrator(platform, server, names.database) as session:
        return fingerprint.columns(session)[0], fingerprint.shape(session)


def _begin(session: Session, names: Names, patience: Patience) -> str:
    """Begin the transaction, as the owner; return the revision, which nobody else can change until its end."""
    cursor = session.execute(
        _BEGIN.format(
            lock=sql.Literal(patience.lock_ms),
            statement=sql.Literal(patience.statement_ms),
            owner=sql.Identifier(names.owner),
            schema=sql.Identifier(SCHEMA),
        )
    )
    while cursor.nextset():
        pass
    row = cursor.fetchone()
    if row is None:
        raise FailedError("The database has no revision of the tenants' schema.")
    return row[0]


def _script(found: str, folder: Path) -> UpgradeScript:
    if not knows_revision(found, folder):
        raise FailedError(f"Its schema revision {found} is newer than this version of Strongroom knows.")
    return upgrade_script(found, folder)


def _run(session: Session, names: Names, statements: bytes) -> None:
    session.execute(statements)
    if _MAKES_OBJECTS.search(statements):
        adopt(session, names)


def _finish(session: Session, expected: Expected) -> None:
    _compare(session, expected)
    session.execute("COMMIT")


def _compare(session: Session, expected: Expected) -> None:
    if fingerprint.columns(session) != (expected.revision, expected.columns):
        raise FailedError("Its tables would differ from the template's after the upgrade.")


def _run_python(
    platform: Platform, server: Server, names: Names, expected: Expected, folder: Path, patience: Patience
) -> None:
    with migrator_connection(platform, server, names.database) as connection, connection.begin():
        connection.exec_driver_sql(f'SET LOCAL ROLE "{names.owner}"')
        upgrade(connection, folder, lock_ms=patience.lock_ms, statement_ms=patience.statement_ms)
        session: Session = connection.connection.driver_connection  # pyright: ignore[reportAssignmentType]  # by the engine
        adopt(session, names)
        _compare(session, expected)


def _patiently(once: Callable[[], None], patience: Patience) -> None:
    for number in range(1, patience.tries + 1):
        try:
            return once()
        except Exception as error:
            cause = _database_error(error)
            if number == patience.tries or not isinstance(cause, psycopg.OperationalError | UnavailableError):
                raise FailedError(explained(error)) from error
        time.sleep(patience.pause * 2 ** (number - 1) * random.uniform(0.5, 1.5))  # noqa: S311  # not for secrets
    return None


def _database_error(error: Exception) -> Exception:
    """`error` itself, or the psycopg error that SQLAlchemy has wrapped."""
    original = getattr(error, "orig", None)
    return original if isinstance(original, psycopg.Error) else error


def explained(error: Exception) -> str:
    """What went wrong, in a sentence that quotes no customer's row."""
    match _database_error(error):
        case StrongroomError() as known:
            return str(known)
        case psycopg.errors.LockNotAvailable():
            return "A lock that the upgrade needs was held by somebody else at every try."
        case psycopg.Error() as refused:
            return f"PostgreSQL refused the upgrade: {_words(refused)}."
        case _:
            return f"A revision failed: {type(error).__name__}."


def _words(error: psycopg.Error) -> str:
    """What PostgreSQL says, as far as it cannot quote a customer's row."""
    state = error.sqlstate or ""
    if state[:2] in _ABOUT_STRUCTURE and error.diag.message_primary:
        return error.diag.message_primary
    return f"{type(error).__name__} {state}".strip()
