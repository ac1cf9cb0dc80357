"""Which backups have had their time. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Kept:
    """A finished backup of one tenant, as far as retention cares."""

    id: str
    state: str  # stored, verified, failed or unchanged
    started_at: datetime
    unchanged_since: str | None = None


def removable(backups: Iterable[Kept], now: datetime, keep: timedelta) -> list[str]:
    """Return the ids to remove, newest first, so that what refers to another goes before it.

    Only verified backups count: the newest one stays whatever its age. One that stands for an unchanged database is
    as young as the last time that was found.
    """
    known = sorted(backups, key=lambda backup: backup.started_at, reverse=True)
    last_verified = next((backup.id for backup in known if backup.state == "verified"), None)
    prolonged = {b.unchanged_since for b in known if b.unchanged_since and now - b.started_at <= keep}
    return [
        backup.id
        for backup in known
        if now - backup.started_at > keep and backup.id != last_verified and backup.id not in prolonged
    ]
