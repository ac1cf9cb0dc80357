"""SQL of the control database about outgoing webhooks: how many tries ended how, for the metrics."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from ..control.tables import webhook_count

OUTCOMES: Final = ("delivered", "failed", "refused")


def count(conn: Connection, counted: Mapping[str, int]) -> None:
    """Add to the counts of how tries ended, by outcome."""
    for outcome in sorted(counted):  # in one order, so that two jobs cannot cross
        statement = insert(webhook_count).values(outcome=outcome, attempts=counted[outcome])
        more = {"attempts": webhook_count.c.attempts + statement.excluded.attempts}
        conn.execute(statement.on_conflict_do_update(index_elements=[webhook_count.c.outcome], set_=more))


def counts(conn: Connection) -> dict[str, int]:
    """How many tries ended how, since the installation was made."""
    return {row.outcome: row.attempts for row in conn.execute(select(webhook_count))}
