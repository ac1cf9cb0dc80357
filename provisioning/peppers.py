"""Replacing the pepper of password hashes, for all workspaces at once, and forgetting an old one."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from ..config.errors import BusyError, StrongroomError
from ..platform.audit import queries as audit
from ..platform.control.platform import Platform
from ..platform.keys import PlatformKeys, peppers
from ..platform.keys.passwords import pepper_id, prefix_of
from ..platform.tenants import queries as tenants
from ..tenant_schema.queries import members
from .locking import held

_LOCK, _PATIENCE = "platform keys", 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Holders:
    """How many members still have a hash made with a pepper, and in which workspaces that could not be asked."""

    members: int
    unknown: tuple[str, ...]


def rotate(platform: Platform, operator: str) -> PlatformKeys:
    """Make a fresh pepper; web processes hash with it from their next sign-in on. Raises `BusyError`."""
    with _alone(platform):
        keys = peppers.rotate_pepper(platform.keys)
        _note(platform, operator, "keys.pepper_rotated", pepper_id(keys.pepper))
    return keys


def retire(platform: Platform, pepper: str, operator: str) -> PlatformKeys:
    """Forget an earlier pepper for good. Raises `NotFoundError`, `BusyError`."""
    with _alone(platform):
        keys = peppers.retire_pepper(platform.keys, pepper)
        _note(platform, operator, "keys.pepper_retired", pepper)
    return keys


def holders(platform: Platform, pepper: str) -> Holders:
    """Ask every workspace who still has a hash made with this pepper. Takes some milliseconds for each."""
    with platform.control.connect() as conn:
        every = [one for one in tenants.list_all(conn) if one.placement_id is not None]
    found, unknown = 0, list[str]()
    for tenant in every:
        try:
            with platform.registry.connect(tenant) as own, own.begin():
                found += members.count_hashes(own, prefix_of(pepper))
        except (StrongroomError, DBAPIError):
            unknown.append(tenant.slug)
    return Holders(found, tuple(unknown))


@contextmanager
def _alone(platform: Platform) -> Generator[None]:
    with held(platform, _LOCK, _PATIENCE) as mine:
        if not mine:
            raise BusyError("Somebody else is changing the keys of the platform; try again in a minute.")
        yield


def _note(platform: Platform, operator: str, action: str, pepper: str) -> None:
    with platform.control.begin() as conn:
        audit.record(conn, operator, action, detail={"pepper": pepper})
