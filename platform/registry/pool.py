"""SQLAlchemy's side of the registry: one engine for all tenants, whose pool hands out the asked tenant's connection.

One engine, because the cache of compiled statements is worth 0.6 ms per statement and 1.7 MB per engine. Which tenant
is asked for stands in a context variable that is set only while the registry takes a connection; outside of that
moment the pool has nothing to give: a connection that died is never silently replaced by another one.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection

from ...config.errors import KeyMissingError, UnavailableError
from ..keys import DatabaseCredential
from .access import ServerAccess
from .address import TenantAddress
from .breaker import ServerUnreachableError
from .budget import Budget
from .connection import ServerFullError, TenantConnection


@dataclass(slots=True, eq=False)
class Target:
    """Whose connection is wanted, on which server, and how a new one is made."""

    key: str
    access: ServerAccess
    credential: DatabaseCredential
    database: str
    address: TenantAddress
    timeout: float  # seconds
    generation: int  # of the record it was made from
    read: float  # time.monotonic: when reading that record began
    kept: float
    is_retired: bool = False  # nothing is opened for it any more
    logins: Callable[[], Iterable[DatabaseCredential]] = tuple  # those that may be right by now, if `credential` is not

    @property
    def budget(self) -> Budget[ConnectionPoolEntry]:
        """The places on its server."""
        return self.access.budget


class TenantChangedError(UnavailableError):
    """Raised when a workspace changes at the very moment when a connection to it is opened."""

    def __init__(self) -> None:
        super().__init__("This workspace has just been changed; try again.", retry_after=1)


_wanted: ContextVar[Target] = ContextVar("strongroom_wanted_tenant")
_TARGET = "strongroom_target"


class TenantPool(Pool):
    """A pool without connections of its own: it borrows them from the budget of the wanted tenant's server."""

    def __init__(self) -> None:
        # Giving back resets the connection itself, and only where there is something to reset.
        super().__init__(_open, reset_on_return=None)

    @contextmanager
    def wanting(self, target: Target) -> Generator[None]:
        """Say inside whose connection the engine gets."""
        token = _wanted.set(target)
        try:
            yield
        finally:
            _wanted.reset(token)

    def take(self, target: Target) -> ConnectionPoolEntry:
        """Return a connection of the target that is alive as far as this side can see."""
        budget, key = target.access.budget, target.key
        while True:
            entry = budget.acquire(key, partial(self._new_entry, target), target.timeout)
            connection = entry.dbapi_connection
            if connection is not None and connection.is_alive():
                break
            budget.discard(key, entry)
        if not connection.belongs_to(target.database, target.credential.role):
            budget.discard(key, entry)
            raise RuntimeError("The registry held a connection of another workspace; it was closed, not used.")
        return entry

    def give_back(self, entry: ConnectionPoolEntry) -> None:
        """Take a connection back: clean to the others, else closed."""
        target: Target = entry.info[_TARGET]
        connection = entry.dbapi_connection
        if (
            connection is not None
            and connection.comes_back_clean()
            and connection.belongs_to(target.database, target.credential.role)
        ):
            target.budget.release(target.key, entry)
        else:
            target.budget.discard(target.key, entry)

    def _new_entry(self, target: Target) -> ConnectionPoolEntry:
        with self.wanting(target):
            return self._create_connection()

    # What SQLAlchemy calls.

    def _do_get(self) -> ConnectionPoolEntry:
        return self.take(_target())

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        self.give_back(record)

    def _invalidate(
        self, connection: PoolProxiedConnection, exception: BaseException | None = None, _checkin: bool = True
    ) -> None:
        # SQLAlchemy would distrust every connection of the pool; a session that ended says nothing about the others'.
        if _checkin and connection.is_valid:
            connection.invalidate(exception)

    def recreate(self) -> "TenantPool":
        """Return an empty pool: what `Engine.dispose` asks for."""
        return TenantPool()

    def dispose(self) -> None:
        """Do nothing: the budgets own the connections."""

    def status(self) -> str:
        """Say what this is; the numbers are the registry's."""
        return "connections of tenants, see Registry.stats()"


def tenant_engine(pool: TenantPool) -> Engine:
    """Make the one engine. It connects to nothing by itself."""
    # hide_parameters: an error message must never carry a customer's values into a log.
    return create_engine("postgresql+psycopg://", pool=pool, use_native_hstore=False, hide_parameters=True)


def _target() -> Target:
    try:
        return _wanted.get()
    except LookupError:
        raise RuntimeError("A tenant's connection was asked for outside of the registry.") from None


def _open(rec: ConnectionPoolEntry) -> Any:
    target = _target()
    if target.is_retired:
        raise TenantChangedError
    connection = _logged_in(target)
    rec.info[_TARGET] = target
    return connection


def _logged_in(target: Target) -> TenantConnection:
    """Log in; where the server refuses the login that this process knows, with the one that has just replaced it."""
    refused = target.credential  # another thread may learn the next one meanwhile, and note it there
    try:
        return target.access.open(refused, target.database, target.address, target.timeout)
    except (ServerFullError, ServerUnreachableError):
        raise
    except UnavailableError:
        for login in _other_logins(target, refused):
            with suppress(UnavailableError):
                connection = target.access.open(login, target.database, target.address, target.timeout)
                target.credential = login
                return connection
        raise


def _other_logins(target: Target, refused: DatabaseCredential) -> Iterator[DatabaseCredential]:
    with suppress(KeyMissingError):  # the workspace is being erased
        yield from (login for login in target.logins() if login != refused)
