"""SQL that forgets what sessions, devices, links and questions leave behind, once nobody needs it any more."""

from datetime import datetime

from sqlalchemy import Connection, delete, func, or_, select, update

from ..tables import challenge, device, mail_link, session


def forget_places(conn: Connection, *, ended_before: datetime, idle_before: datetime) -> int:
    """Take address, country and browser out of sessions that ended before a time; return how many.

    `idle_before`: a session that nobody ended has ended by itself when it was last used before this. What stays is the
    token's hash: whoever presents the token is told that the session has ended, and not taken for an intruder.
    """
    personal = session.c.address, session.c.user_agent, session.c.country, session.c.device_id
    empty: dict[str, None] = {column.name: None for column in personal}
    over = or_(session.c.revoked_at < ended_before, session.c.last_seen_at < idle_before)
    told = or_(*(column.is_not(None) for column in personal))
    return conn.execute(update(session).where(over, told).values(empty)).rowcount


def remove_sessions(conn: Connection, begun_before: datetime) -> int:
    """Remove sessions that began before a time, by which all have ended; return how many."""
    return conn.execute(delete(session).where(session.c.created_at < begun_before)).rowcount


def remove_devices(conn: Connection, seen_before: datetime) -> int:
    """Remove devices that nobody has signed in with since; return how many."""
    old = select(device.c.id).where(device.c.last_seen_at < seen_before)
    conn.execute(update(session).where(session.c.device_id.in_(old)).values(device_id=None))
    return conn.execute(delete(device).where(device.c.last_seen_at < seen_before)).rowcount


def remove_links(conn: Connection, expired_before: datetime) -> int:
    """Remove links of mails that ran out before a time; return how many."""
    return conn.execute(delete(mail_link).where(mail_link.c.expires_at < expired_before)).rowcount


def remove_challenges(conn: Connection, expired_before: datetime) -> int:
    """Remove questions to browsers that ran out before a time; return how many."""
    over = func.greatest(challenge.c.expires_at, challenge.c.used_at) < expired_before
    return conn.execute(delete(challenge).where(over)).rowcount
