"""What the control plane knows about a customer account and about the database it lives in."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ...config.errors import UnavailableError
from .ids import database_name, owner_role
from .states import TenantState


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer account. `generation` rises with every change that a cache must notice."""

    id: str
    slug: str
    name: str
    plan: str
    region: str
    state: TenantState
    generation: int
    placement_id: str | None
    server: str
    schema_revision: str | None
    failure: str | None
    created_at: datetime
    last_backup_at: datetime | None
    last_verified_at: datetime | None
    erased_at: datetime | None = None
    requires_second_factor: bool = False  # of its owners and admins, by its plan

    @property
    def database(self) -> str:
        """Name of its database. Raises `UnavailableError` before it has one."""
        return database_name(self._placement())

    @property
    def role(self) -> str:
        """Name of its login role: the same as the database's."""
        return self.database

    @property
    def owner_role(self) -> str:
        """Name of the role that owns its tables."""
        return owner_role(self._placement())

    def _placement(self) -> str:
        if self.placement_id is None:
            raise UnavailableError(f"The workspace “{self.slug}” has no database yet.")
        return self.placement_id


class PlacementState(StrEnum):
    """Life of one database: a tenant has one that is current, and retired ones after a restore or a move."""

    BUILDING = "building"
    READY = "ready"
    CURRENT = "current"
    RETIRED = "retired"
    DROPPING = "dropping"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Placement:
    """A database made for tenants. `spare`: it waits in the pool, and nobody's data were ever in it.

    `tenant_id` is None for a spare, and for what is being filled for a tenant that is not there yet.
    """

    id: str
    server: str
    tenant_id: str | None
    state: PlacementState
    schema_revision: str | None
    created_at: datetime
    retired_at: datetime | None
    drop_after: datetime | None
    spare: bool = False

    @property
    def database(self) -> str:
        """Name of the database and of its login role."""
        return database_name(self.id)

    @property
    def owner_role(self) -> str:
        """Name of the role that owns its tables."""
        return owner_role(self.id)
