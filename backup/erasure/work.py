"""State of an erasure while its steps run; whatever a step finds is durable before it is destroyed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ...platform.audit import queries as operators_audit
from ...platform.control.platform import Platform
from ...platform.tenants import placements
from ...platform.tenants.records import Placement, PlacementState, Tenant
from .. import traces
from ..header import timestamp
from . import queries
from .records import Certificate, Document


@dataclass(slots=True)
class Work:
    """What the steps share. `detail` is what the row of the erasure holds."""

    platform: Platform
    tenant: Tenant
    operator: str
    requested_at: datetime
    detail: Document
    certificate: Certificate | None = None

    def note(self, part: str, found: Mapping[str, Any]) -> Document:
        """Add to what is known about `part`, durably; return all of it.

        A step that was killed finds less when it is repeated: what it had found before stays in the list.
        """
        known: Document = self.detail.setdefault(part, {})
        for name, facts in found.items():
            known[name] = {**known.get(name, {}), **facts} if isinstance(facts, dict) else facts
        with self.platform.control.begin() as conn:
            queries.keep_detail(conn, self.tenant.id, self.detail)
        return known

    def done(self, step: str) -> None:
        """Record that a step has come to its end."""
        self.detail["steps"][step] = now_text()
        with self.platform.control.begin() as conn:
            queries.keep_detail(conn, self.tenant.id, self.detail, step)

    def is_done(self, step: str) -> bool:
        """Say whether an earlier run has finished this step."""
        return step in self.detail["steps"]

    def placements(self) -> list[Placement]:
        """Return every database that ever held the account's content: its own, and copies that never came to be."""
        with self.platform.control.connect() as conn:
            own = placements.of_tenant(conn, self.tenant.id)
            half_made = [placements.find(conn, pid) for pid in self.half_made().values()]
        return [*own, *filter(None, half_made)]

    def left(self) -> list[Placement]:
        """Return those of `placements` that are not verifiably gone."""
        return [one for one in self.placements() if one.state is not PlacementState.DROPPED]

    def half_made(self) -> dict[str, str]:
        """Return what killed clones, and killed restores as a new workspace, have left: tenant id → placement id.

        Nobody works on them: such work holds the lock of the account that it copies.
        """
        with self.platform.control.connect() as conn:
            begun = operators_audit.without_tenant(conn, traces.COPYING, datetime.max.replace(tzinfo=UTC))
        of_ours = [entry for entry in begun if entry.detail["source"] == self.tenant.id]
        return {str(entry.tenant_id): str(entry.detail["placement"]) for entry in of_ours}


def now_text() -> str:
    """Return the present moment, in RFC 3339."""
    return timestamp(datetime.now(UTC))
