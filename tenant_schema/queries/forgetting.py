"""SQL that takes a person out of a workspace: what tells who it was goes, what the company recorded stays.

Runs as the tables' owner. Sealing is the caller's; nothing here opens a value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, func, select, update

from ..tables import invitation, member, outbox, receipt, session


@dataclass(frozen=True, slots=True)
class Letter:
    """A message of the outbox, sealed."""

    id: UUID
    recipient: bytes
    subject: bytes
    body: bytes
    sent_at: datetime | None


def ids_of(conn: Connection, member_index: bytes, invitation_index: bytes) -> list[UUID]:
    """Return the ids of the member and of the invitations with an address, given as its two blind indexes."""
    of_member = select(member.c.id).where(member.c.email_index == member_index)
    of_invitations = select(invitation.c.id).where(invitation.c.email_index == invitation_index)
    return [*conn.scalars(of_member), *conn.scalars(of_invitations.order_by(invitation.c.id))]


def sealed_members(conn: Connection, ids: Sequence[UUID]) -> list[tuple[UUID, bytes, bytes]]:
    """Return id, sealed e-mail address and sealed name of the members among `ids`."""
    found = conn.execute(select(member.c.id, member.c.email, member.c.name).where(member.c.id.in_(ids)))
    return [(row.id, row.email, row.name) for row in found]


def sealed_invitations(conn: Connection, ids: Sequence[UUID]) -> list[tuple[UUID, bytes]]:
    """Return id and sealed e-mail address of the invitations among `ids`."""
    found = conn.execute(select(invitation.c.id, invitation.c.email).where(invitation.c.id.in_(ids)))
    return [(row.id, row.email) for row in found]


def replace_member(conn: Connection, member_id: UUID, values: Mapping[str, Any]) -> None:
    """Put other sealed values into a member's row, who can never sign in again, and end the sessions.

    Of a session only its token's hash stays: a browser that still sends the token is not taken for an intruder's.
    """
    gone = {"password_hash": None, "state": "removed", "last_seen_at": None}
    conn.execute(update(member).where(member.c.id == member_id).values({**values, **gone}))
    ended = {"address": None, "user_agent": None, "revoked_at": func.coalesce(session.c.revoked_at, func.now())}
    conn.execute(update(session).where(session.c.member_id == member_id).values(ended))


def replace_invitation(conn: Connection, invitation_id: UUID, values: Mapping[str, Any]) -> None:
    """Put another sealed address into an invitation, which nobody can accept any more."""
    ended = {"revoked_at": func.coalesce(invitation.c.revoked_at, func.now())}
    conn.execute(update(invitation).where(invitation.c.id == invitation_id).values({**values, **ended}))


def uploads(conn: Connection, member_id: UUID) -> list[tuple[UUID, str]]:
    """Return id and media type of the receipts that a member has uploaded."""
    found = conn.execute(select(receipt.c.id, receipt.c.media_type).where(receipt.c.uploaded_by == member_id))
    return [(row.id, row.media_type) for row in found]


def rename_uploads(conn: Connection, sealed_names: Sequence[Mapping[str, Any]]) -> None:
    """Give receipts other sealed file names: rows of `row_id` and `file_name`."""
    if sealed_names:
        conn.execute(update(receipt).where(receipt.c.id == bindparam("row_id")), sealed_names)


def letters(conn: Connection) -> list[Letter]:
    """Return every message, sent or waiting."""
    columns = outbox.c.id, outbox.c.recipient, outbox.c.subject, outbox.c.body, outbox.c.sent_at
    return [Letter(*row) for row in conn.execute(select(*columns))]


def remove_letters(conn: Connection, ids: Sequence[UUID]) -> None:
    """Remove messages."""
    conn.execute(delete(outbox).where(outbox.c.id.in_(ids)))
