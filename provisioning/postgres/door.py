"""The superuser's door: two lines of the server's rules, there while it is set up and at no other time.

A process of the service that is taken over could otherwise become the superuser whenever it likes, because the kernel
vouches for its account. The caller holds the lock under which servers are started.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg

from ...config.errors import UnavailableError
from . import configuration
from .account import current_user
from .cluster import Cluster

LOCK = "postgres.admin"  # shared by everybody who holds the door open
_SECONDS = 30.0  # for the server to read its rules again, on a machine that is busy
_END_SESSIONS = """
    SELECT pg_terminate_backend(a.pid, 5000) FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
    WHERE r.rolsuper AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
"""

Connect = Callable[[], psycopg.Connection[Any]]


def rules(*, open_to_admin: bool) -> tuple[str, str]:
    """Return pg_hba.conf and pg_ident.conf."""
    if open_to_admin:
        return configuration.hba_text(admin_door=True), configuration.ident_text(current_user())
    return configuration.hba_text(), configuration.closed_ident_text()


def is_open(cluster: Cluster) -> bool:
    """Say whether a server that starts now would let the superuser in."""
    return configuration.SUPERUSER in cluster.rules()


def is_shut(error: psycopg.OperationalError) -> bool:
    """Say whether this is how the server refuses the superuser while the door is shut."""
    return "pg_hba.conf" in str(error)


def open_door(cluster: Cluster, connect: Connect) -> None:
    """Let the superuser in; returns once that is in effect. Raises `UnavailableError` after half a minute."""
    cluster.write_rules(*rules(open_to_admin=True))
    cluster.reload()
    _wait(connect, until_open=True)


def shut_door(cluster: Cluster, connect: Connect) -> None:
    """End the superuser's sessions and let none in any more; returns once that is in effect."""
    if cluster.is_running():
        with suppress(psycopg.OperationalError), connect() as session:  # shut already, or just ending
            session.execute(_END_SESSIONS)
    cluster.write_rules(*rules(open_to_admin=False))
    cluster.reload()
    if cluster.is_running():
        _wait(connect, until_open=False)


def _wait(connect: Connect, *, until_open: bool) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        try:
            connect().close()
        except psycopg.OperationalError as error:
            if not until_open or not is_shut(error):
                return  # refused, or the server is gone: whoever connects next hears why
        else:
            if until_open:
                return
        time.sleep(0.002)
    raise UnavailableError("PostgreSQL does not take up its changed rules.")
