"""Which permissions are used, for the review of access: written down once a day for each member and permission.

A memo of this process keeps what was written today, so that no other request of the day writes anything. Other
processes write the same once more each, which changes nothing.
"""

from datetime import UTC, date, datetime
from threading import Lock
from typing import cast
from uuid import UUID

from flask import Flask, current_app
from sqlalchemy import Connection

from ...tenant_schema.queries import permission_use
from . import tenant
from .permissions import Permission

EXTENSION = "strongroom_uses"
MOST = 100_000  # entries; beyond, it begins anew and some are written twice

_Use = tuple[str, UUID, Permission]  # of a workspace, a member


class Memo:
    """What this process has written down on one day."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._lock = Lock()
        self._day = date.min
        self._seen: set[_Use] = set()

    def has(self, day: date, use: _Use) -> bool:
        """Whether `use` was written down on `day`."""
        with self._lock:
            return day == self._day and use in self._seen

    def add(self, day: date, use: _Use) -> None:
        """Remember that it was."""
        with self._lock:
            if day != self._day or len(self._seen) >= MOST:
                self._day, self._seen = day, set()
            self._seen.add(use)


def note(member_id: UUID, permission: Permission) -> None:
    """Write down, once the request has succeeded, that this member has used `permission` today."""
    memo, day, use = _memo(), datetime.now(UTC).date(), (tenant.tenant().id, member_id, permission)
    if memo.has(day, use):
        return

    def write(conn: Connection) -> None:
        permission_use.record(conn, member_id, permission.value, day)
        memo.add(day, use)

    tenant.after_commit(write)


def install(app: Flask) -> None:
    """Give `app` its memo."""
    app.extensions[EXTENSION] = Memo()


def _memo() -> Memo:
    return cast(Memo, current_app.extensions[EXTENSION])
