"""A new login for a tenant's database, while it is in use.

The tenant's own role sets it: whoever makes tenants cannot replace the login of one that exists, and so cannot read it.
Both logins are in the key store until the server is known to have the new one; a process that is refused with one
tries the other, so no request notices.
"""

from typing import Any

import psycopg
from psycopg import sql

from ..config.errors import FailedError, RefusedError
from ..platform.audit import queries as operators_audit
from ..platform.control.platform import Platform
from ..platform.keys import DatabaseCredential
from ..platform.registry.address import tls_parameters
from ..platform.servers import queries as servers
from ..platform.servers.records import Server
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import Tenant
from .create import tenant_lock
from .sessions import Session


def rotate_login(platform: Platform, tenant: Tenant, operator: str = "operator") -> Tenant:
    """Replace the login of the tenant's database; sessions that are open stay until they are renewed.

    A rotation that was killed is finished by the next one. Raises `RefusedError` for a tenant without database,
    `FailedError` when the server accepts neither login.
    """
    with tenant_lock(platform, tenant.id):
        with platform.control.connect() as conn:
            found = tenants.by_id(conn, tenant.id)
            if found.placement_id is None:
                raise RefusedError(f"The workspace “{found.slug}” has no database yet.")
            server = servers.by_name(conn, found.server)
        _replace(platform, server, found.placement_id)
        with platform.control.begin() as conn:
            operators_audit.record(conn, operator, "tenant.login_rotated", tenant.id)
            return tenants.renew(conn, tenant.id)


def _replace(platform: Platform, server: Server, pid: str) -> None:
    present, coming = platform.keys.begin_rotation(pid)
    is_set = _log_in(platform, server, coming)  # a killed rotation may have come that far
    session = is_set or _log_in(platform, server, present)
    if session is None:
        raise FailedError(f"The server {server.name} accepts no login of {present.role}.")
    with session:
        if is_set is None:
            _set_verifier(session, coming)
    platform.keys.end_rotation(pid)


def _set_verifier(session: Session, coming: DatabaseCredential) -> None:
    with session.transaction():
        session.execute("SET LOCAL synchronous_commit = on")
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
        session.execute(statement.format(sql.Identifier(coming.role), sql.Literal(coming.verifier)))


def _log_in(platform: Platform, server: Server, credential: DatabaseCredential) -> Session | None:
    """Connect as the tenant's own role, never through a pooler; None when the server refuses."""
    parameters: dict[str, Any] = {
        **server.conninfo_params(credential.role),
        **tls_parameters(server, server.host, platform.settings),
        **credential.conninfo_params(),
        "connect_timeout": 5,
        "application_name": "strongroom",
        "require_auth": "scram-sha-256",
        "gssencmode": "disable",
        "autocommit": True,
    }
    try:
        return psycopg.connect(**parameters)
    except psycopg.OperationalError:
        return None
