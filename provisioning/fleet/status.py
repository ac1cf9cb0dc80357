"""`fleet status`: how far the databases are, and what stands in the way."""

from dataclasses import dataclass

from ...platform.control.platform import Platform
from ...tenant_schema.migrate import newest_revision
from . import queries
from .queries import Failure


@dataclass(frozen=True, slots=True)
class Revision:
    """How many databases are recorded at one revision."""

    revision: str
    tenants: int
    spares: int


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """The newest revision, what the databases have, and what could not be upgraded to it."""

    newest: str
    revisions: list[Revision]
    failures: list[Failure]

    @property
    def behind(self) -> int:
        """How many databases the next `fleet migrate` will upgrade."""
        return sum(one.tenants + one.spares for one in self.revisions if one.revision != self.newest)


def fleet_status(platform: Platform) -> FleetStatus:
    """Read the records of the control database; no tenant's database is opened."""
    newest = newest_revision()
    with platform.control.connect() as conn:
        everything, failures = queries.databases(conn), queries.failures(conn, newest)
    found = sorted({one.revision or "none" for one in everything} | {newest})
    return FleetStatus(newest, [_counted(revision, everything) for revision in found], failures)


def _counted(revision: str, everything: list[queries.Database]) -> Revision:
    here = [one for one in everything if (one.revision or "none") == revision]
    spares = sum(one.tenant_id is None for one in here)
    return Revision(revision, len(here) - spares, spares)
