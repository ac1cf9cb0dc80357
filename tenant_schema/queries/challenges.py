"""SQL over challenges: something asked of a browser, to be answered once and soon. Found by the hash of a token."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, delete, or_, select, update
from sqlalchemy import insert as insert_into

from ..tables import challenge, member

MOST_FAILURES = 5
_PRUNED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge that can still be answered. `failures` counts the tries begun, this one included."""

    id: UUID
    member_id: UUID | None
    content: bytes | None
    failures: int


_COLUMNS = (challenge.c.id, challenge.c.member_id, challenge.c.content, challenge.c.failures)
_OPEN = and_(
    challenge.c.token_hash == bindparam("the_token"),
    challenge.c.purpose == bindparam("the_purpose"),
    challenge.c.used_at.is_(None),
    challenge.c.failures < bindparam("most"),
    challenge.c.expires_at > bindparam("now"),
    or_(
        challenge.c.member_id.is_(None),
        challenge.c.member_id.in_(select(member.c.id).where(member.c.state == "active")),
    ),
)
_FIND = select(*_COLUMNS).where(_OPEN)
_COUNT = update(challenge).where(_OPEN).values(failures=challenge.c.failures + 1).returning(*_COLUMNS)
_USE = update(challenge).where(_OPEN).values(used_at=bindparam("now")).returning(*_COLUMNS)
_FINISH = (
    update(challenge)
    .where(challenge.c.id == bindparam("the_id"), challenge.c.used_at.is_(None))
    .values(used_at=bindparam("now"))
)
_OUTDATED = (
    select(challenge.c.id)
    .where(challenge.c.expires_at < bindparam("now"))
    .limit(_PRUNED_AT_ONCE)
    .with_for_update(skip_locked=True)
)
_PRUNE = delete(challenge).where(challenge.c.id.in_(_OUTDATED))


def insert(
    conn: Connection,
    *,
    id: UUID,  # noqa: A002  # the column's name
    token_hash: bytes,
    purpose: str,
    member_id: UUID | None,
    content: bytes | None,
    expires_at: datetime,
) -> None:
    """Add a challenge. `purpose` is one of `CHALLENGE_PURPOSES`."""
    row = {
        "id": id,
        "token_hash": token_hash,
        "purpose": purpose,
        "member_id": member_id,
        "content": content,
        "expires_at": expires_at,
    }
    conn.execute(insert_into(challenge), row)


def find(conn: Connection, token_hash: bytes, purpose: str, now: datetime) -> Challenge | None:
    """Return the challenge if it can still be answered, and its member, where it has one, is active."""
    return _one(conn, _FIND, token_hash, purpose, now)


def count_try(conn: Connection, token_hash: bytes, purpose: str, now: datetime) -> Challenge | None:
    """Count a try before it is looked at, so that parallel ones cannot slip through; None where none is left.

    Until the transaction ends, other tries of the same challenge wait.
    """
    return _one(conn, _COUNT, token_hash, purpose, now)


def use(conn: Connection, token_hash: bytes, purpose: str, now: datetime) -> Challenge | None:
    """Burn a challenge: of any number of callers one gets it, once."""
    return _one(conn, _USE, token_hash, purpose, now)


def finish(conn: Connection, challenge_id: UUID, now: datetime) -> bool:
    """Mark a challenge as answered; False if it was already."""
    return conn.execute(_FINISH, {"the_id": challenge_id, "now": now}).rowcount == 1


def prune(conn: Connection, now: datetime) -> None:
    """Delete some of those whose time is over."""
    conn.execute(_PRUNE, {"now": now})


def _one(conn: Connection, statement: object, token_hash: bytes, purpose: str, now: datetime) -> Challenge | None:
    values = {"the_token": token_hash, "the_purpose": purpose, "most": MOST_FAILURES, "now": now}
    row = conn.execute(statement, values).one_or_none()  # pyright: ignore[reportCallIssue, reportArgumentType, reportUnknownVariableType, reportUnknownMemberType]
    return None if row is None else Challenge(*row)  # pyright: ignore[reportUnknownArgumentType]
