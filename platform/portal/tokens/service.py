"""Tokens by which programs use the API in a member's name. Nothing here commits."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ....config.errors import CallError, ForbiddenError, NotFoundError, RefusedError
from ....tenant_schema import tables
from ....tenant_schema.ids import new_uuid7
from ....tenant_schema.queries import api_tokens as queries
from ....tenant_schema.queries import audit
from ...api import tokens
from ...api.scopes import ApiScope
from ...cards.masking import mask
from ...keys.tokens import hash_of
from ...web import tenant
from ...web.member import CurrentMember
from ...web.permissions import Role, may_manage
from ..alerts import Alert, tell

LIFETIMES: Final = (7, 30, 90, 365)  # days
NAME_LENGTH: Final = 80
MOST_LIVE: Final = 50  # of one member
SHOWN_AFTER: Final = timedelta(days=30)  # how long an expired one stays in the list


@dataclass(frozen=True, slots=True)
class TokenLine:
    """A token as the page shows it. `revocable`: whether the reader may end it."""

    id: UUID
    name: str
    hint: str
    scopes: tuple[ApiScope, ...]
    member: str
    own: bool
    created_at: datetime
    expires_at: datetime
    expired: bool
    last_used_at: datetime | None
    last_address: str | None
    revocable: bool


@dataclass(frozen=True, slots=True)
class NewToken:
    """A fresh token. Its text is known only now: the database keeps its hash."""

    id: UUID
    token: str
    name: str
    scopes: tuple[ApiScope, ...]
    expires_at: datetime


def make(actor: CurrentMember, name: str, scopes: Collection[str], days: int | None, now: datetime) -> NewToken:
    """Make a token of `actor`'s. Raises `CallError` for what was typed wrong, `RefusedError` for one too many."""
    conn = tenant.connection()
    shown, chosen, expires_at = _name(name), _scopes(scopes), now + _lifetime(days)
    if queries.count_live(conn, actor.id, now) >= MOST_LIVE:
        raise RefusedError(f"A member may have up to {MOST_LIVE} tokens; revoke one that is no longer used.")
    token, row_id = tokens.make(), new_uuid7()
    queries.insert(
        conn,
        id=row_id,
        member_id=actor.id,
        token_hash=hash_of(token),
        hint=tokens.hint_of(token),
        name=tenant.cipher().seal(tables.api_token.c.name, row_id, shown),
        scopes=chosen,
        expires_at=expires_at,
    )
    detail = {"scopes": list(chosen), "expires_at": expires_at.isoformat(timespec="seconds")}
    audit.record(conn, actor.id, "api_token.made", "api_token", row_id, detail)
    tell(Alert.TOKEN_MADE, actor.id, which=f"“{shown}”")
    return NewToken(row_id, token, shown, chosen, expires_at)


def lines(reader: CurrentMember, now: datetime) -> list[TokenLine]:
    """The workspace's tokens, newest first: the reader's own and everybody else's."""
    return [_line(row, reader, now) for row in queries.listed(tenant.connection(), now - SHOWN_AFTER)]


def revoke(actor: CurrentMember, token_id: UUID, now: datetime) -> TokenLine:
    """End a token for good. Raises `NotFoundError`, and `ForbiddenError` for one above the actor's reach."""
    found = next((one for one in lines(actor, now) if one.id == token_id), None)
    if found is None:
        raise NotFoundError("There is no such token here; it may have been revoked already.")
    if not found.revocable:
        raise ForbiddenError("Only an Owner may revoke an Owner’s token.")
    queries.revoke(tenant.connection(), token_id)
    audit.record(tenant.connection(), actor.id, "api_token.revoked", "api_token", token_id)
    return found


def _line(row: queries.ListedToken, reader: CurrentMember, now: datetime) -> TokenLine:
    cipher, own = tenant.cipher(), row.member_id == reader.id
    return TokenLine(
        id=row.id,
        name=cipher.open(tables.api_token.c.name, row.id, row.name),
        hint=row.hint,
        scopes=tuple(scope for scope in ApiScope if scope in row.scopes),
        member=cipher.open(tables.member.c.name, row.member_id, row.member_name),
        own=own,
        created_at=row.created_at,
        expires_at=row.expires_at,
        expired=row.expires_at <= now,
        last_used_at=row.last_used_at,
        last_address=row.last_address,
        revocable=own or may_manage(reader.role, Role(row.member_role)),
    )


def _name(text: str) -> str:
    name = mask(" ".join("".join(c if c.isprintable() else " " for c in text).split()))
    if not name:
        raise CallError("Say what the token is for.", "name")
    if len(name) > NAME_LENGTH:
        raise CallError(f"The name may have up to {NAME_LENGTH} characters.", "name")
    return name


def _scopes(chosen: Collection[str]) -> tuple[ApiScope, ...]:
    found = tuple(scope for scope in ApiScope if scope in chosen)
    if not found or len(found) != len(set(chosen)):
        raise CallError("Choose what the token may do.", "scopes")
    return found


def _lifetime(days: int | None) -> timedelta:
    if days not in LIFETIMES:
        raise CallError("Choose when the token expires.", "days")
    return timedelta(days=days)
