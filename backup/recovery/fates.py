"""What is to become of each workspace. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from ...platform.tenants.records import Tenant
from ...platform.tenants.states import TenantState


class Fate(StrEnum):
    """What a recovery has done, or will do, with a workspace."""

    RESTORED = "restored"
    KEPT = "kept"  # its database was not lost: it lies on a server that still answers
    PENDING = "pending"  # it never had a database; the worker makes it
    ERASED = "erased"  # it had been erased before, and stays so
    WAITING = "waiting"  # left out by --only
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Known:
    """What decides about one workspace."""

    tenant: Tenant
    is_buried: bool  # whether the key store says that it was erased
    has_keys: bool
    is_there: bool  # whether its database exists on its server


def fate_of(known: Known, only: Collection[str]) -> Fate:
    """Return what is to be done: `RESTORED` means that it must be."""
    tenant = known.tenant
    if known.is_buried or tenant.state is TenantState.ERASED:
        return Fate.ERASED
    if not known.has_keys:
        return Fate.FAILED
    if tenant.placement_id is None:
        return Fate.PENDING
    if known.is_there:
        return Fate.KEPT
    return Fate.WAITING if only and tenant.slug not in only else Fate.RESTORED
