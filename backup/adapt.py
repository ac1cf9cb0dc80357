"""What a restored copy needs before anybody may use it. The caller owns the transaction in the new database."""

from collections.abc import Callable, Mapping

from sqlalchemy import ColumnElement, Connection, delete, func, text, true, update

from ..tenant_schema import tables
from ..tenant_schema.migrate import upgrade
from ..tenant_schema.queries import audit, cards, webhooks
from .header import timestamp
from .records import Backup


def adapt_restored(conn: Connection, owner: str, origin: Mapping[str, object]) -> str:
    """Bring a copy that stays the same tenant's up to date, as the role `owner`; return its schema revision.

    All sessions, members' invitations, API tokens and links in mails end, and no device is known: some may have been
    revoked since the backup. Only the first owner's invitation stays, which nobody inside could give again. Mail and
    webhooks that had not been sent are not sent now.
    `origin` says in the audit log which time it is from.
    """
    revision = _at_newest(conn, owner)
    _end_sessions(conn)
    _end_invitations(conn, tables.invitation.c.invited_by.is_not(None))
    _end_other_ways_in(conn)
    conn.execute(delete(tables.outbox).where(tables.outbox.c.sent_at.is_(None)))
    webhooks.cancel_waiting(conn)
    audit.record(conn, None, "workspace.restored", detail=origin)
    return revision


def adapt_copy(
    conn: Connection, owner: str, origin: Mapping[str, object], reseal_all: Callable[[Connection], int]
) -> str:
    """Make a copy another tenant's: sealed anew under that tenant's keys, without sessions, invitations and mail.

    Nobody has signed in there yet, and no device, API token or link in a mail is known. Its webhooks are paused, and
    its card feed has ended: receivers and processor know the original. `origin` says in the audit log what it is a copy
    of; `reseal_all` does the sealing. Members keep their passwords. Returns the schema revision. Raises
    `VerificationError` if a value does not open.
    """
    revision = _at_newest(conn, owner)
    _end_sessions(conn)
    _end_invitations(conn, true())
    _end_other_ways_in(conn)
    for table in (tables.idempotency_key, tables.outbox):
        conn.execute(delete(table))
    conn.execute(update(tables.member).values(last_seen_at=None))  # or the first sign-in would count as suspicious
    webhooks.silence(conn, "copied")
    cards.end_feed(conn)
    reseal_all(conn)
    audit.record(conn, None, "workspace.copied", detail=origin)
    return revision


def _at_newest(conn: Connection, owner: str) -> str:
    conn.execute(text(f'SET LOCAL ROLE "{owner}"'))
    revision = upgrade(conn)
    conn.execute(text("SET LOCAL statement_timeout = 0"))  # a large workspace takes its time
    return revision


def _end_sessions(conn: Connection) -> None:
    """And what else browsers and mails hold: devices that count as known, links, sign-ins that are half done."""
    session = tables.session
    conn.execute(update(session).where(session.c.revoked_at.is_(None)).values(revoked_at=func.now()))
    conn.execute(update(session).where(session.c.device_id.is_not(None)).values(device_id=None))
    for table in (tables.device, tables.challenge):
        conn.execute(delete(table))
    link = tables.mail_link  # their hashes stay: a link from before is not taken for an intruder's
    conn.execute(update(link).where(link.c.used_at.is_(None)).values(used_at=func.now()))


def _end_invitations(conn: Connection, which: ColumnElement[bool]) -> None:
    invitation = tables.invitation
    open_ones = invitation.c.accepted_at.is_(None) & invitation.c.revoked_at.is_(None)
    conn.execute(update(invitation).where(open_ones, which).values(revoked_at=func.now()))


def _end_other_ways_in(conn: Connection) -> None:
    token, transfer = tables.api_token, tables.ownership_transfer
    conn.execute(update(token).where(token.c.revoked_at.is_(None)).values(revoked_at=func.now()))
    open_ones = transfer.c.accepted_at.is_(None) & transfer.c.cancelled_at.is_(None)
    conn.execute(update(transfer).where(open_ones).values(cancelled_at=func.now()))


def origin_of(backup: Backup) -> dict[str, object]:
    """What the audit log of a restored workspace says about where its content is from."""
    return {"backup": backup.id, "as_of": timestamp(backup.started_at)}
