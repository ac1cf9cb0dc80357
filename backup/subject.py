"""What a backup is taken of: one database, and the keys that its copies are made for."""

import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from sqlalchemy import Connection

from ..config.errors import RefusedError, UnavailableError
from ..config.settings import Settings
from ..platform.control.address import read_address
from ..platform.control.platform import Platform
from ..platform.keys.credentials import write_service_file
from ..platform.servers import queries as servers
from ..platform.servers.records import Server
from ..platform.tenants import queries as tenants
from ..platform.tenants.states import TenantState
from ..provisioning.names import BACKUP, CONTROL
from ..provisioning.postgres.programs import find_bindir
from ..provisioning.sessions import Session, connect_as, login_parameters, open_as
from .tools import Target

SERVICE_FOLDER = "backup-"  # of folders in the run folder that hold a service file for one child process
_TRIES = 3  # databases, in search of one that lets us in: one may just be dropped


@dataclass(frozen=True, slots=True)
class Subject:
    """One database to back up. `tenant_id` is None for the control database."""

    tenant_id: str | None
    placement_id: str | None
    schema_revision: str | None
    server: Server
    database: str
    recipient: str  # age public key that the copies are encrypted to
    identity: str = field(repr=False)  # age private key: opens them, and signs their descriptors

    @property
    def kind(self) -> str:
        """The catalogue's word for it."""
        return "tenant" if self.tenant_id else "control"


def subject_of(platform: Platform, conn: Connection, tenant_id: str | None) -> Subject:
    """Return what to back up for a tenant, or for the control database (None).

    Raises `NotFoundError`, or `RefusedError` while the tenant is in no state that can be backed up.
    """
    if tenant_id is None:
        return control_subject(platform)
    tenant = tenants.by_id(conn, tenant_id)
    if tenant.state not in (TenantState.ACTIVE, TenantState.SUSPENDED) or not tenant.database or not tenant.server:
        raise RefusedError(f"The workspace “{tenant.slug}” is {tenant.state} and cannot be backed up now.")
    keys = platform.keys.tenant(tenant_id)
    return Subject(
        tenant_id=tenant.id,
        placement_id=tenant.placement_id,
        schema_revision=tenant.schema_revision,
        server=servers.by_name(conn, tenant.server),
        database=tenant.database,
        recipient=keys.backup_recipient,
        identity=keys.backup_identity,
    )


def identity_of(platform: Platform, tenant_id: str | None) -> str:
    """Return the age private key that opens the backups of a tenant, or of the control database (None)."""
    return platform.keys.tenant(tenant_id).backup_identity if tenant_id else platform.keys.platform().backup_identity


@contextmanager
def reading(platform: Platform, subject: Subject) -> Generator[Session]:
    """Yield a session that may read everything in the subject's database and write nothing, in autocommit mode."""
    with open_as(platform, subject.server, BACKUP, subject.database) as session:
        session.execute("SET default_transaction_read_only = on")
        yield session


@contextmanager
def any_session(platform: Platform, server: Server, databases: Sequence[str]) -> Generator[Session]:
    """Yield a session like that of `reading` in the first of `databases` that lets it in.

    For what a server knows about all of them. Raises `UnavailableError` when none does.
    """
    refused: UnavailableError | None = None
    for database in databases[:_TRIES]:
        try:
            session = connect_as(platform, server, BACKUP, database)
        except UnavailableError as error:
            refused = error
            continue
        with session:
            session.execute("SET default_transaction_read_only = on")
            yield session
        return
    raise refused or UnavailableError(f"The server “{server.name}” has no database to look from.")


@contextmanager
def target_for(platform: Platform, server: Server, role: str, database: str) -> Generator[Target]:
    """Yield what the client programs need to connect to `database` as one of the platform's own roles."""
    run = platform.settings.run_dir
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=SERVICE_FOLDER, dir=run) as folder:
        path = Path(folder) / "service"
        conninfo = write_service_file(path, login_parameters(platform, server, role, database))
        yield Target(_bindir(platform.settings), conninfo, path, tls=not server.host.startswith("/"))


@cache
def _bindir(settings: Settings) -> Path:
    return find_bindir(settings)


def control_subject(platform: Platform) -> Subject:
    """Return what to back up for the control database."""
    keys = platform.keys.platform()
    address = read_address(platform.settings)
    server = Server("control", "", "", address.host, address.port, accepts_tenants=False, created_at=datetime.now(UTC))
    return Subject(
        tenant_id=None,
        placement_id=None,
        schema_revision=None,
        server=server,
        database=CONTROL,
        recipient=keys.backup_recipient,
        identity=keys.backup_identity,
    )
