"""Keeping the table of counted tries small. Importing it registers the task."""

from ..control.platform import Platform
from ..jobs.app import periodic
from . import queries


@periodic("7,37 * * * *", "sweep_rate_limits")
def sweep_rate_limits(platform: Platform) -> None:
    """Delete what counts for nothing any more."""
    with platform.control.begin() as conn:
        queries.sweep(conn)
