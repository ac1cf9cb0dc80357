"""SQL over what the control database knows of mail that is not out. The caller owns the transaction.

Counts only, as of the last delivery of each workspace: whoever asks must not have to open every database.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from ...tenant_schema.queries.outbox import Standing
from ..control.tables import mail_standing, tenant


@dataclass(frozen=True, slots=True)
class MailTotals:
    """Of the whole installation. `oldest_at`: when the message that waits longest was written."""

    waiting: int
    failed: int
    oldest_at: datetime | None


_TOTALS = (
    select(
        func.coalesce(func.sum(mail_standing.c.waiting), 0),
        func.coalesce(func.sum(mail_standing.c.failed), 0),
        func.min(mail_standing.c.oldest_at),
    )
    .join(tenant, tenant.c.id == mail_standing.c.tenant_id)
    .where(tenant.c.state != "erased")
)


def write(conn: Connection, tenant_id: str, standing: Standing) -> None:
    """Keep what a delivery has left of a workspace; nothing is kept of one whose mail is all out."""
    if not standing.waiting and not standing.failed:
        conn.execute(delete(mail_standing).where(mail_standing.c.tenant_id == tenant_id))
        return
    counts = {"waiting": standing.waiting, "failed": standing.failed, "oldest_at": standing.oldest_at}
    row = insert(mail_standing).values(tenant_id=tenant_id, **counts)
    again = counts | {"counted_at": func.now()}
    conn.execute(row.on_conflict_do_update(index_elements=[mail_standing.c.tenant_id], set_=again))


def totals(conn: Connection) -> MailTotals:
    """Return the counts of all workspaces together."""
    waiting, failed, oldest_at = conn.execute(_TOTALS).one()
    return MailTotals(int(waiting), int(failed), oldest_at)
