"""The end of every way to sign in: the session begins, and is written down."""

from datetime import UTC, datetime
from uuid import UUID

from ....tenant_schema.queries import audit, members
from ...web import sessions, tenant


def arrive(member_id: UUID, method: str) -> None:
    """Begin the session of a member who has proved who it is. `method`: one of `SIGN_IN_METHODS`."""
    conn = tenant.connection()
    sessions.start(member_id, method)
    members.seen(conn, member_id, datetime.now(UTC))
    audit.record(conn, member_id, "session.started", "member", member_id, {"method": method})
