"""Who writes copies of a tenant into stores, and the erasure that has to be sure that nobody does any more.

The lock ends with the process that holds it, however it ends; so an erasure waits for the living only.
"""

from collections.abc import Generator
from contextlib import contextmanager

from ..config.errors import BusyError, RefusedError
from ..platform.control.platform import Platform
from ..platform.tenants import queries as tenants
from ..platform.tenants.states import TenantState
from ..provisioning.locking import held, shared

_PATIENCE = 120.0  # seconds; the database is gone for a writer by then, so only what it has in hand is still written


@contextmanager
def writing(platform: Platform, tenant_id: str | None) -> Generator[None]:
    """Hold this from the first to the last object that is written; None: of the control database.

    Raises `RefusedError` for a tenant that is erased, or is being erased.
    """
    if tenant_id is None:
        yield
        return
    with shared(platform, _key(tenant_id)) as mine:
        if not mine or _is_erased(platform, tenant_id):
            raise RefusedError("This workspace is erased or being erased; no copies are made of it.")
        yield


@contextmanager
def alone(platform: Platform, tenant_id: str | None, patience: float = _PATIENCE) -> Generator[None]:
    """Wait until nobody else backs up the tenant (None: the control database), and be who does. Raises `BusyError`."""
    with held(platform, f"backup of {tenant_id or 'control'} at work", patience) as mine:
        if not mine:
            raise BusyError("Another process is making a backup of this at the moment; it takes long.")
        yield


@contextmanager
def nobody_writes(platform: Platform, tenant_id: str, patience: float = _PATIENCE) -> Generator[None]:
    """Wait until the last writer has ended, and let none begin inside the block. Raises `BusyError`."""
    with held(platform, _key(tenant_id), patience) as mine:
        if not mine:
            raise BusyError("A backup of this workspace is still being written; repeat the command in a few minutes.")
        yield


def _is_erased(platform: Platform, tenant_id: str) -> bool:
    """Ask once the lock is held: an erasure waits for it after it has said that the tenant is erased."""
    with platform.control.connect() as conn:
        return tenants.by_id(conn, tenant_id).state is TenantState.ERASED


def _key(tenant_id: str) -> str:
    return f"copies of {tenant_id}"
