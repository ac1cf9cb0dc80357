"""Forgets, once a day and in every open workspace, what sessions leave behind. Importing it registers the task.

Where somebody was and with what is kept while it helps its owner to recognise a session, and 90 days after: the time in
which one asks who was in an account. Then only the hash of the token stays, which says nothing about anybody.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from ....tenant_schema.queries import upkeep
from ...control.platform import Platform
from ...jobs.app import UPKEEP, periodic
from ...jobs.sweeps import in_every_database
from ...web.sessions import IDLE
from .devices import KEPT as DEVICES_KEPT

PLACES_KEPT = timedelta(days=90)  # after the end of a session
SESSIONS_KEPT = timedelta(days=400)  # after it began; browsers keep no cookie longer
LINKS_KEPT = timedelta(days=90)  # after they ran out
CHALLENGES_KEPT = timedelta(days=1)  # likewise; they live for minutes

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many rows of a workspace were emptied (`places`) or removed."""

    places: int
    sessions: int
    devices: int
    links: int
    challenges: int


def forget(conn: Connection, now: datetime) -> Forgotten:
    """Forget what is over for long enough. The caller owns the transaction."""
    return Forgotten(
        places=upkeep.forget_places(conn, ended_before=now - PLACES_KEPT, idle_before=now - IDLE - PLACES_KEPT),
        sessions=upkeep.remove_sessions(conn, now - SESSIONS_KEPT),
        devices=upkeep.remove_devices(conn, now - DEVICES_KEPT),
        links=upkeep.remove_links(conn, now - LINKS_KEPT),
        challenges=upkeep.remove_challenges(conn, now - CHALLENGES_KEPT),
    )


@periodic("23 2 * * *", "forget_old_sessions", queue=UPKEEP)
def forget_old_sessions(platform: Platform) -> None:
    """Forget in all open workspaces; one that cannot be reached waits for tomorrow."""
    now = datetime.now(UTC)
    in_every_database(
        platform,
        lambda conn: forget(conn, now),
        _logger,
        "Old sessions of the workspace %s are forgotten tomorrow: %s",
    )
