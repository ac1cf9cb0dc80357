"""Real attacks with the tenants' own credentials: what PostgreSQL answers, not what the catalogs say."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from ...config.errors import KeyMissingError
from ...platform.control.platform import Platform
from ...platform.servers.records import Server
from ..names import Names
from .approach import login_parameters
from .attacks import Attack, attacks
from .attempt import WATCHED, Attempt
from .crossing import crossings, signals
from .entering import PLATFORM_DATABASES, Doors
from .pooled import pooled_attempts

__all__ = ["PLATFORM_DATABASES", "attack"]

Session = psycopg.Connection[Any]

# PostgreSQL, appendix A: what a refusal looks like. Anything else is an attack that was never really made.
_REFUSALS = {
    "42501": "privileges",
    "0LP01": "grant rules",
    "0A000": "not supported",
    "55000": "not supported",
    "42704": "not installed",
    "58P01": "not installed",
}
_CLOSED = ("not currently accepting connections", "permission denied for database", "does not exist")


def attack(platform: Platform, server: Server, me: Names, others: Sequence[Names]) -> Iterator[Attempt]:
    """Attack as the login of `me`: break out of its own database, reach `others`, enter theirs and the platform's.

    The first of `others` that lets its login in is the bystander whose session is attacked. Raises `psycopg.Error` when
    the login cannot even enter its own database, so that silence is not taken for safety.
    """
    login = login_parameters(platform, server, me)
    with psycopg.connect(**login) as session:
        session.execute("SELECT FROM app.setting")
        superuser = session.execute("SELECT quote_ident(pg_get_userbyid(10))").fetchone()  # no catalog is asked for it
        session.rollback()
        assert superuser is not None
        for one in attacks(me, others[0] if others else None, session.info.server_version, superuser[0]):
            yield _try(session, me, one)
        yield from _across(platform, server, session, me, others)
    yield from Doors(server, me, login).attempts(others)
    yield from pooled_attempts(platform, server, me, others)


def _across(
    platform: Platform, server: Server, session: Session, me: Names, others: Sequence[Names]
) -> Iterator[Attempt]:
    theirs = _bystander(platform, server, others)
    if theirs is None:
        return
    if isinstance(theirs, str):
        yield Attempt(me.role, "other sessions", "to meet a session of another tenant", None, theirs)
        return
    with theirs:
        for one in signals(theirs.info.backend_pid):
            yield _try(session, me, one)
        if _lives(theirs):  # else it was ended, which has been counted
            yield from crossings(me.role, session, theirs)


def _bystander(platform: Platform, server: Server, others: Sequence[Names]) -> Session | str | None:
    """Return a session of the first that lets its login in; else the last refusal, None where nobody can be in."""
    refused: str | None = None
    for other in others:
        try:
            return psycopg.connect(**login_parameters(platform, server, other))
        except psycopg.OperationalError as error:
            refused = refused if _is_closed(error) else str(error)
        except KeyMissingError:
            continue  # dropped; of one that is not, the standing gate says so
    return refused


def _is_closed(error: psycopg.OperationalError) -> bool:
    """Whether the database is retired, dropped or just being moved, so that its tenant cannot be in it."""
    return any(words in str(error) for words in _CLOSED)


def _lives(session: Session) -> bool:
    try:
        session.execute("SELECT 1")
        session.rollback()
    except psycopg.OperationalError:
        return False
    return True


def _try(session: Session, me: Names, attack: Attack) -> Attempt:
    session.autocommit = attack.alone
    try:
        _run(session, attack.statement)
        layer = _gain(session, attack)
    except psycopg.Error as error:
        code = error.sqlstate or type(error).__name__
        layer = _REFUSALS.get(code)
        return Attempt(me.role, attack.group, attack.statement, layer, None if layer else code)
    finally:
        session.rollback()
    return Attempt(me.role, attack.group, attack.statement, layer)


def _run(session: Session, statement: str) -> None:
    if not statement.endswith("TO STDOUT"):
        session.execute(statement.encode())
        return
    with session.cursor().copy(statement.encode()) as rows:
        for _ in rows:
            pass


def _gain(session: Session, attack: Attack) -> str | None:
    """Say what stopped an attack that the server accepted: that it had no effect, or that the gate will see it."""
    if attack.gained:
        row = session.execute(attack.gained.encode()).fetchone()
        if row == (False,):
            return "no effect"
    if attack.undo:
        session.execute(attack.undo.encode())
    return WATCHED if attack.watched else None
