"""Takes one workspace back to a moment, exact to the transaction, or makes a new one of how it was then.

All others go on meanwhile: the server of that time is a throw-away one, and the workspace is copied out of it.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from ...config.errors import CallError, NotFoundError, RefusedError
from ...platform.control.platform import Platform
from ...platform.servers import queries as servers
from ...platform.servers.records import Server
from ...platform.tenants import placements
from ...platform.tenants import queries as tenants
from ...platform.tenants.records import Placement, Tenant
from ...provisioning.create import tenant_lock
from ..content import MomentContent
from ..copies import making_store
from ..progress import Event, Progress, silent
from ..restore import STEPS, Order, land, source_of
from ..switch import switches
from .embedded import EmbeddedArchive
from .pgbackrest import PgBackRestArchive
from .source import LogArchive


@dataclass(frozen=True, slots=True)
class RestoredAt:
    """What has been done. `retired` is the placement that the tenant had before; none for a new tenant."""

    tenant: Tenant
    at: datetime
    placement_id: str
    retired: str | None
    rows: int
    receipts: int
    seconds: float


def parse_moment(text: str) -> datetime:
    """Return the moment that `text` (RFC 3339) names. Raises `CallError` where it is none or has no offset."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise CallError(f"“{text[:40]}” is not a time; write it like 2026-01-31T17:45:00+00:00.") from error
    if moment.tzinfo is None:
        raise CallError(f"“{text[:40]}” has no offset; write it like 2026-01-31T17:45:00+00:00, or with Z.")
    return moment


def restore_at(
    platform: Platform,
    slug: str,
    at: datetime,
    *,
    as_slug: str | None = None,
    operator: str = "operator",
    progress: Progress = silent,
) -> RestoredAt:
    """Take a workspace back to `at`, in place or as the new workspace `as_slug`.

    Everything that was committed at or before `at` is there, nothing else. Raises `NotFoundError`, `CallError`,
    `RefusedError` (outside of the window, wrong state), `VerificationError` (the archive is damaged or has a gap) or
    `FailedError`; the workspace is then as it was before, and nothing of the new database is left.
    """
    began = time.monotonic()
    with platform.control.connect() as conn:
        tenant_id = tenants.by_slug(conn, slug).id
    with tenant_lock(platform, tenant_id):
        source = source_of(platform, slug, as_slug)
        server, placement = _placement_at(platform, source, at)
        archive = archive_of(platform, server)
        _check_window(archive, server, at)
        # The new database is made while the server of that time comes up. Whatever fails, the other is waited for.
        with ExitStack() as stack, ThreadPoolExecutor(1, "recovery") as beside:
            recovered = archive.recovered(placement.database, at, _about(slug, progress))
            coming = beside.submit(stack.enter_context, recovered)
            content = MomentContent(platform, making_store(platform, source.id), source, coming.result, at)
            work = land(platform, Order(source, content, as_slug, operator), progress)
    assert work.result is not None
    retired = None if as_slug else source.placement_id
    seconds = time.monotonic() - began
    return RestoredAt(work.result, at, work.names.pid, retired, content.rows, work.receipts, seconds)


def _about(slug: str, progress: Progress) -> Progress:
    """Say what the archive does beside the making of the new database, about the workspace and not its database."""

    def report(event: Event) -> None:
        progress(Event(slug, event.step, 2, len(STEPS) + 1))

    return report


def archive_of(platform: Platform, server: Server) -> LogArchive:
    """Return what keeps a server's base backups and log. Raises `RefusedError` where nothing that we know does."""
    if server.kind == "embedded":
        return EmbeddedArchive(platform, server)
    for stanza in platform.settings.pgbackrest:
        if stanza.server == server.name:
            return PgBackRestArchive(platform, server, stanza)
    raise RefusedError(f"Nothing that Strongroom knows of archives the log of the server “{server.name}”.")


def placement_at(switched: Sequence[tuple[datetime, str]], current: str | None, at: datetime) -> str | None:
    """Return the placement that a tenant lived in at `at`: the first one that it left after it, else the current one.

    `switched`: when it left which placement, oldest first; an undone restore leaves the same one again.
    """
    return next((left for moment, left in switched if moment > at), current)


def _placement_at(platform: Platform, source: Tenant, at: datetime) -> tuple[Server, Placement]:
    with platform.control.connect() as conn:
        pid = placement_at(switches(conn, source.id), source.placement_id, at)
        if pid is None or source.created_at > at:
            raise NotFoundError(f"There was no workspace “{source.slug}” yet at {at.isoformat()}.")
        found = placements.by_id(conn, pid)
        return servers.by_name(conn, found.server), found


def _check_window(archive: LogArchive, server: Server, at: datetime) -> None:
    if at > datetime.now(UTC):
        raise CallError(f"{at.isoformat()} has not come yet.")
    window = archive.window()
    if window is None:
        raise RefusedError(
            f"There is no base backup of the server “{server.name}” yet; from the first one on any second can be had "
            "back: strongroom backup base"
        )
    if not window.first <= at <= window.last:
        raise RefusedError(f"{at.isoformat()} cannot be had back any more; what can is {window}.")
