"""What has not gone out, as operators see it: where, since when, why. Never what it says, nor to whom exactly."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ...config.errors import NotFoundError, StrongroomError
from ...tenant_schema.queries import outbox as queries
from ...tenant_schema.tables import outbox
from ..control.platform import Platform
from ..jobs.sweeps import open_workspaces
from ..keys.fields import FieldCipher
from ..tenants.records import Tenant
from .delivery import brake, keep_standing, queue_job


@dataclass(frozen=True, slots=True)
class UnsentMail:
    """A message that waits or has failed. `state`: waiting, handing over, failed, or unknown (it may be out)."""

    id: UUID
    workspace: str
    to: str
    state: str
    attempts: int
    written_at: datetime
    next_at: datetime | None
    error: str | None


def listing(platform: Platform) -> Iterator[UnsentMail]:
    """Yield what has not gone out, of all active workspaces. Raises `UnavailableError` for one that cannot be asked."""
    for tenant in open_workspaces(platform):
        cipher = FieldCipher(platform.keys.tenant(tenant.id))
        with platform.registry.connect(tenant) as conn, conn.begin():
            rows = queries.unsent(conn)
        yield from (_shown(tenant, cipher, row) for row in rows)


def retry(platform: Platform, ids: Sequence[UUID] | None = None) -> list[UUID]:
    """Let failed messages (all, or those of `ids`) go out again; return their ids.

    Raises `NotFoundError` if one of `ids` is not a failed message; the others are sent nonetheless.
    """
    found: list[UUID] = []
    for tenant in open_workspaces(platform):
        with platform.registry.connect(tenant) as conn, conn.begin():
            again = queries.retry(conn, ids)
        if again:
            found += again
            keep_standing(platform, tenant)
            queue_job(platform, tenant)
    brake.release()
    if missing := [str(one) for one in ids or () if one not in found]:
        raise NotFoundError(f"No message has failed with the id {', '.join(missing)}; see `strongroom mail list`.")
    return found


def shortened(address: str) -> str:
    """An address that tells no stranger whose it is: first letter, domain."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}"


def _shown(tenant: Tenant, cipher: FieldCipher, row: queries.Unsent) -> UnsentMail:
    try:
        to = shortened(cipher.open(outbox.c.recipient, row.id, row.recipient))
    except StrongroomError:
        to = "unreadable"
    state = _state(row)
    next_at = row.next_at if state == "waiting" else None
    return UnsentMail(row.id, tenant.slug, to, state, row.attempts, row.created_at, next_at, row.last_error)


def _state(row: queries.Unsent) -> str:
    if row.failed_at is not None:
        return "unknown" if row.handed_over_at is not None else "failed"
    return "handing over" if row.handed_over_at is not None else "waiting"
