"""SQL over tokens of the API, found by their SHA-256."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, bindparam, exists, func, or_, select, update
from sqlalchemy import insert as insert_into

from ..tables import api_token, member


@dataclass(frozen=True, slots=True)
class LiveToken:
    """A token that counts, with its member as they are now. `name` and `email` are sealed for the member's row."""

    id: UUID
    member_id: UUID
    role: str
    name: bytes
    email: bytes
    scopes: list[str]
    expires_at: datetime
    last_used_at: datetime | None
    last_address: str | None


@dataclass(frozen=True, slots=True)
class ListedToken:
    """A token as a list shows it. `name` is sealed for the token's row, `member_name` for the member's."""

    id: UUID
    member_id: UUID
    member_name: bytes
    member_role: str
    hint: str
    name: bytes
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    last_address: str | None


_T, _M = api_token.c, member.c
_JOINED = api_token.join(member, _T.member_id == _M.id)
_LIVE = (
    select(
        _T.id,
        _T.member_id,
        _M.role,
        _M.name,
        _M.email,
        _T.scopes,
        _T.expires_at,
        _T.last_used_at,
        func.host(_T.last_address),
    )
    .select_from(_JOINED)
    .where(
        _T.token_hash == bindparam("token_hash"),
        _T.revoked_at.is_(None),
        _T.expires_at > bindparam("now"),
        _M.state == "active",
    )
)
_LISTED = (
    select(
        _T.id,
        _T.member_id,
        _M.name,
        _M.role,
        _T.hint,
        _T.name,
        _T.scopes,
        _T.created_at,
        _T.expires_at,
        _T.last_used_at,
        func.host(_T.last_address),
    )
    .select_from(_JOINED)
    .where(_T.revoked_at.is_(None), _T.expires_at > bindparam("expired_after"), _M.state == "active")
    .order_by(_T.created_at.desc(), _T.id)
)
_KNOWN = select(exists().where(_T.token_hash == bindparam("presented")))
_COUNT = select(func.count()).where(
    _T.member_id == bindparam("owner_id"), _T.revoked_at.is_(None), _T.expires_at > bindparam("now")
)
_TOUCH = (
    update(api_token)
    .where(_T.id == bindparam("token_id"))
    .values(last_used_at=bindparam("now"), last_address=bindparam("address"))
)
_FORGET_ADDRESSES = (
    update(api_token)
    .where(
        _T.last_address.is_not(None), or_(_T.revoked_at < bindparam("ended_at"), _T.expires_at < bindparam("ended_at"))
    )
    .values(last_address=None)
)
_UNREVOKED = update(api_token).where(_T.revoked_at.is_(None)).values(revoked_at=func.now())
_REVOKE = _UNREVOKED.where(_T.id == bindparam("token_id"))
_REVOKE_ALL = _UNREVOKED.where(_T.member_id == bindparam("owner_id"))


def insert(
    conn: Connection,
    *,
    id: UUID,  # noqa: A002  # the column's name
    member_id: UUID,
    token_hash: bytes,
    hint: str,
    name: bytes,
    scopes: Sequence[str],
    expires_at: datetime,
) -> None:
    """Add a token. `name` is sealed."""
    row = {
        "id": id,
        "member_id": member_id,
        "token_hash": token_hash,
        "hint": hint,
        "name": name,
        "scopes": list(scopes),
        "expires_at": expires_at,
    }
    conn.execute(insert_into(api_token), row)


def live(conn: Connection, token_hash: bytes, now: datetime) -> LiveToken | None:
    """The token, if it is neither revoked nor expired at `now` and its member is active."""
    row = conn.execute(_LIVE, {"token_hash": token_hash, "now": now}).one_or_none()
    return None if row is None else LiveToken(*row)


def was_a_token(conn: Connection, token_hash: bytes) -> bool:
    """Whether this token was made here, whatever became of it since."""
    return bool(conn.execute(_KNOWN, {"presented": token_hash}).scalar_one())


def listed(conn: Connection, expired_after: datetime) -> list[ListedToken]:
    """All tokens that are not revoked, newest first, without those that expired before `expired_after`."""
    return [ListedToken(*row) for row in conn.execute(_LISTED, {"expired_after": expired_after})]


def count_live(conn: Connection, member_id: UUID, now: datetime) -> int:
    """How many tokens of a member count."""
    return conn.execute(_COUNT, {"owner_id": member_id, "now": now}).scalar_one()


def touch(conn: Connection, token_id: UUID, now: datetime, address: str | None) -> None:
    """Note when the token was used, and from where."""
    conn.execute(_TOUCH, {"token_id": token_id, "now": now, "address": address})


def revoke(conn: Connection, token_id: UUID) -> bool:
    """End one token; False if there is none of this id, or it has ended."""
    return conn.execute(_REVOKE, {"token_id": token_id}).rowcount == 1


def revoke_all(conn: Connection, member_id: UUID) -> int:
    """End all tokens of a member; return how many."""
    return conn.execute(_REVOKE_ALL, {"owner_id": member_id}).rowcount


def forget_addresses(conn: Connection, before: datetime) -> int:
    """Forget where the tokens were used that ended before then; return how many. Their hashes stay, to be known by."""
    return conn.execute(_FORGET_ADDRESSES, {"ended_at": before}).rowcount
