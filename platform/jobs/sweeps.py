"""What a job does in every open workspace: one whose database fails is logged, and keeps no other from its turn."""

from collections.abc import Callable
from logging import Logger
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ...config.errors import StrongroomError
from ..control.platform import Platform
from ..tenants import queries as tenants
from ..tenants.records import Tenant
from ..tenants.states import TenantState

T = TypeVar("T")


def open_workspaces(platform: Platform) -> list[Tenant]:
    """The workspaces that are in use now, none that is suspended or being changed."""
    with platform.control.connect() as conn:
        return tenants.list_all(conn, [TenantState.ACTIVE])


def in_every_database(
    platform: Platform, work: Callable[[Connection], T], logger: Logger, otherwise: str
) -> list[tuple[Tenant, T]]:
    """Do `work` in a transaction of each open workspace; return what came of it where it succeeded.

    `otherwise` is the log line, of the workspace's id and the error, where it did not.
    """

    def in_transaction(tenant: Tenant) -> T:
        with platform.registry.connect(tenant) as conn, conn.begin():
            return work(conn)

    return in_every_workspace(platform, in_transaction, logger, otherwise)


def in_every_workspace(
    platform: Platform, work: Callable[[Tenant], T], logger: Logger, otherwise: str
) -> list[tuple[Tenant, T]]:
    """Do `work` for each open workspace, in transactions of its own; else like `in_every_database`."""
    done: list[tuple[Tenant, T]] = []
    for tenant in open_workspaces(platform):
        try:
            done.append((tenant, work(tenant)))
        except (StrongroomError, DBAPIError) as error:
            logger.warning(otherwise, tenant.id, error)
    return done
