"""One entry of the catalogue of backups."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class BackupState(StrEnum):
    """Life of a backup: running → stored → verified; running or stored → failed; running → unchanged."""

    RUNNING = "running"
    STORED = "stored"
    VERIFIED = "verified"
    FAILED = "failed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Backup:
    """What the catalogue knows about a backup. `size` in bytes; `tenant_id` is None for the control database."""

    id: str
    tenant_id: str | None
    tenant_slug: str | None
    kind: str
    state: BackupState
    unchanged_since: str | None
    placement_id: str | None
    schema_revision: str | None
    object: str | None
    size: int | None
    sha256: str | None
    fingerprint: dict[str, Any] | None
    manifest: dict[str, Any] | None
    receipts: int | None
    failure: str | None
    lease_until: datetime | None
    started_at: datetime
    finished_at: datetime | None
    verified_at: datetime | None
    receipts_lost: int = 0  # that the origin had lost before they could be copied

    @property
    def label(self) -> str:
        """What a person calls the thing that was backed up."""
        return self.tenant_slug or self.tenant_id or "control"
