"""What must not cross from one database to another: words, locks, signals, activity, names. Tried with two sessions."""

import re
import secrets
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from .attacks import Attack
from .attempt import Attempt

Session = psycopg.Connection[Any]

_APART = "databases are apart"
# What the catalogs give away to everybody who casts a number to a role: names that say nothing (names.py).
_NAMES = """
    SELECT DISTINCT name FROM (
        SELECT g::oid::regrole::text AS name
        FROM generate_series(current_user::regrole::oid::bigint - 5000, current_user::regrole::oid::bigint + 5000) g
    ) found WHERE name !~ '^-?[0-9]*$'
"""
_OPAQUE = re.compile(r"t_[a-z2-7]{16}(_own)?|strongroom_[a-z_]+|tenant_(logins|owners)|pg_[a-z_]+|-")


def signals(bystander: int) -> Iterator[Attack]:
    """Yield what an attacker tries on another tenant's session, whose process is `bystander`."""
    for statement in (
        "SELECT pg_cancel_backend({})",
        "SELECT pg_terminate_backend({})",
        "SELECT pg_log_backend_memory_contexts({})",
        "SELECT query FROM pg_stat_get_activity({})",
        "SELECT query FROM pg_stat_activity WHERE pid = {}",
        "SELECT * FROM pg_locks WHERE pid = {}",
    ):
        yield Attack("other sessions", statement.format(bystander))


def crossings(attacker: str, mine: Session, theirs: Session) -> Iterator[Attempt]:
    """Yield what was tried with a session in each of two tenants' databases."""
    mine.autocommit = theirs.autocommit = True
    number = secrets.randbits(62)  # of its own: other attackers try the same at the same time
    heard = _hears(mine, theirs, f"attack_{number}")
    yield Attempt(attacker, "messages", "LISTEN to another tenant's NOTIFY", None if heard else _APART)
    for function in ("pg_try_advisory_lock", "pg_try_advisory_lock_shared"):
        held = _is_held_up(mine, theirs, function, number)
        yield Attempt(attacker, "locks", f"hold up another tenant's {function}", None if held else _APART)
    names = _telling_names(mine)
    what = f"read names that say something: {', '.join(names)}" if names else "read names that say something"
    yield Attempt(attacker, "names", what, None if names else "opaque names")


def _hears(mine: Session, theirs: Session, channel: str) -> bool:
    """Whether a word of theirs arrives; one of our own is sent after it, and words arrive in order."""
    notify = "SELECT pg_notify(%s, %s)"
    mine.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
    theirs.execute(notify, (channel, "theirs"))
    mine.execute(notify, (channel, "mine"))
    heard = [word.payload for word in mine.notifies(timeout=20, stop_after=1)]
    mine.execute("UNLISTEN *")
    return heard != ["mine"]


def _is_held_up(mine: Session, theirs: Session, function: str, number: int) -> bool:
    mine.execute("SELECT pg_advisory_lock(%s)", (number,))
    try:
        row = theirs.execute(f"SELECT {function}(%s)".encode(), (number,)).fetchone()
        theirs.execute("SELECT pg_advisory_unlock_all()")
    finally:
        mine.execute("SELECT pg_advisory_unlock_all()")
    return row != (True,)


def _telling_names(mine: Session) -> list[str]:
    return [row[0] for row in mine.execute(_NAMES) if not _OPAQUE.fullmatch(row[0])]
