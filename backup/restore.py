"""Restores a backup into a new database, proves it there, and switches the tenant to it; or makes it a new tenant.

The tenant works on until the moment of the switch. The database it had before stays, closed, for a week.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import psycopg
from psycopg import sql
from sqlalchemy import Connection

from ..config.errors import NotFoundError, RefusedError, StrongroomError
from ..platform.control.platform import Platform
from ..platform.keys.resealing import reseal
from ..platform.servers import queries as servers
from ..platform.servers.records import Server
from ..platform.tenants import queries as tenants
from ..platform.tenants import slugs
from ..platform.tenants.ids import new_id
from ..platform.tenants.records import Tenant
from ..platform.tenants.states import TenantState
from ..provisioning.create import tenant_lock
from ..provisioning.locking import held
from ..provisioning.names import MIGRATOR, Names
from ..provisioning.placements import drop_placement, finish_database, prepare_database
from ..provisioning.sessions import migrator, migrator_connection
from ..provisioning.spares import spare_lock
from ..tenant_schema.migrate import knows_revision
from ..tenant_schema.tables import SCHEMA
from . import catalogue, receipts, traces
from .adapt import adapt_copy, adapt_restored, origin_of
from .header import Descriptor
from .progress import Event, Progress, silent, watching
from .records import Backup, BackupState
from .stores.contract import Store
from .stores.opening import open_store
from .subject import identity_of, target_for
from .switch import NewTenant, open_new, switch_in_place
from .tools import restoring
from .verify import check_receipt, compare, read_descriptor, read_dump

LOADING = "loading the dump"
RESTORABLE = (BackupState.VERIFIED, BackupState.STORED)


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore has done. `retired` is the placement that the tenant had before; none for a new tenant."""

    tenant: Tenant
    backup: Backup
    placement_id: str
    retired: str | None
    rows: int
    receipts: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be restored, as what, and on whose word."""

    store: Store
    source: Tenant  # whose backup it is
    backup: Backup
    as_slug: str | None
    operator: str


@dataclass(slots=True)
class Work:
    """State of a restore while its steps run, in the order of `STEPS`."""

    platform: Platform
    order: Order
    target_id: str  # the tenant that the copy is for
    descriptor: Descriptor
    server: Server
    names: Names  # database and roles of the new placement
    revision: str | None = None
    receipts: int = 0
    progress: Progress = silent
    result: Tenant | None = None

    @property
    def identity(self) -> str:
        """Age private key of the backup."""
        return identity_of(self.platform, self.order.source.id)


def restore(
    platform: Platform,
    slug: str,
    backup_id: str | None = None,
    *,
    as_slug: str | None = None,
    operator: str = "operator",
    progress: Progress = silent,
) -> Restored:
    """Restore a tenant's backup (default: its newest verified one), in place or as the new tenant `as_slug`.

    Raises `NotFoundError`, `CallError`, `RefusedError` (wrong state, newer schema, another restore is at work),
    `VerificationError` (the backup or the copy is not what the catalogue says) or `FailedError`; the tenant is then
    as it was before, and nothing of the new database is left.
    """
    began = time.monotonic()
    store = open_store(platform.settings)
    with platform.control.connect() as conn:
        tenant_id = tenants.by_slug(conn, slug).id
    pid = new_id()
    with tenant_lock(platform, tenant_id), held(platform, spare_lock(pid)):
        source, backup = _choose(platform, slug, backup_id, as_slug)
        progress(Event(slug, "checking the backup", 1, len(STEPS) + 1))
        descriptor = _check(platform, store, source, backup)
        work = _begin(platform, Order(store, source, backup, as_slug, operator), pid, descriptor)
        _run_steps(work, progress)
    assert work.result is not None
    retired = None if as_slug else source.placement_id
    rows, seconds = descriptor.manifest.rows, time.monotonic() - began
    return Restored(work.result, backup, pid, retired, rows, work.receipts, seconds)


def _choose(platform: Platform, slug: str, backup_id: str | None, as_slug: str | None) -> tuple[Tenant, Backup]:
    with platform.control.connect() as conn:
        source = tenants.by_slug(conn, slug)
        backup = choose_backup(platform, source, backup_id)
        if as_slug is not None:
            slugs.check_slug(as_slug)
            with_slug = [tenant for tenant in tenants.list_all(conn) if tenant.slug == as_slug]
            if with_slug:
                raise RefusedError(f"The workspace address “{as_slug}” is taken.")
        elif source.state not in (TenantState.ACTIVE, TenantState.SUSPENDED):
            raise RefusedError(f"The workspace “{slug}” is {source.state} and cannot be restored now.")
    return source, backup


def choose_backup(platform: Platform, source: Tenant, backup_id: str | None = None) -> Backup:
    """Return the backup of this id, or the tenant's newest verified one. Raises `NotFoundError`, `RefusedError`."""
    return _named(platform, source, backup_id) if backup_id else _newest(platform, source)


def _named(platform: Platform, source: Tenant, backup_id: str) -> Backup:
    with platform.control.connect() as conn:
        backup = catalogue.by_id(conn, backup_id)
        if backup.unchanged_since:
            backup = catalogue.by_id(conn, backup.unchanged_since)
    if backup.tenant_id != source.id:
        raise NotFoundError(f"The backup {backup_id} is not one of “{source.slug}”.")
    if backup.state not in RESTORABLE:
        raise RefusedError(f"The backup {backup_id} is {backup.state}; only verified and stored ones can be restored.")
    return backup


def _newest(platform: Platform, source: Tenant) -> Backup:
    with platform.control.connect() as conn:
        backup = catalogue.newest(conn, source.id, (BackupState.VERIFIED,))
    if backup is None:
        raise NotFoundError(f"“{source.slug}” has no verified backup yet; run: strongroom backup run {source.slug}")
    return backup


def _check(platform: Platform, store: Store, source: Tenant, backup: Backup) -> Descriptor:
    """Check everything that can be checked before anything is made."""
    descriptor = read_descriptor(store, backup, identity_of(platform, source.id))
    revision = descriptor.header.schema_revision
    if revision and not knows_revision(revision):
        raise RefusedError(f"The backup has the schema revision {revision}, which is newer than this version knows.")
    for receipt in descriptor.receipts:
        check_receipt(store, backup, receipt.sha256)
    return descriptor


def _begin(platform: Platform, order: Order, pid: str, descriptor: Descriptor) -> Work:
    target_id = new_id() if order.as_slug else order.source.id
    with platform.control.connect() as conn:
        server = servers.by_name(conn, order.source.server)
    return Work(platform, order, target_id, descriptor, server, Names(pid))


def _run_steps(work: Work, progress: Progress) -> None:
    work.progress = progress
    try:
        for number, (title, step) in enumerate(STEPS, 2):
            progress(_event(work, title, number))
            step(work)
    except BaseException:
        _undo(work)
        raise


def _event(work: Work, title: str, number: int, size: int | None = None) -> Event:
    return Event(work.order.source.slug, title, number, len(STEPS) + 1, size=size)


def _prepare(work: Work) -> None:
    """Make the new database, and before it the keys of a new tenant."""
    order, pid = work.order, work.names.pid
    if order.as_slug:
        traces.begin(work.platform, work.target_id, pid, order.source.id, order.operator)
    owner = None if order.as_slug else work.target_id
    prepare_database(work.platform, work.server.name, owner, empty=True, placement_id=pid)


def _load(work: Work) -> None:
    database, owner = work.names.database, work.names.owner
    with migrator(work.platform, work.server, database) as session:
        version = session.info.server_version
    with (
        target_for(work.platform, work.server, MIGRATOR, database) as target,
        restoring(target, f"--role={owner}", f"--schema={SCHEMA}", server_version=version) as archive,
    ):
        watch = watching(work.progress, _event(work, LOADING, 3, work.descriptor.size))
        read_dump(work.order.store, work.descriptor, work.identity, archive, watch)


def _compare(work: Work) -> None:
    with migrator(work.platform, work.server, work.names.database) as session:
        session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(work.names.owner)))
        compare(work.descriptor, session)


def _receipts(work: Work) -> None:
    """In place, missing receipts come back as they were; a new tenant gets its own in the next step."""
    work.receipts = len(work.descriptor.receipts)
    if work.order.as_slug is None:
        receipts.bring_back(work.platform, work.order.store, work.order.source.id, work.descriptor.receipts)


def _adapt(work: Work) -> None:
    backup, owner = work.order.backup, work.names.owner
    with migrator_connection(work.platform, work.server, work.names.database) as conn, conn.begin():
        if work.order.as_slug is None:
            work.revision = adapt_restored(conn, owner, backup)
        else:
            work.revision = adapt_copy(conn, owner, origin_of(backup), partial(_reseal, work))


def _reseal(work: Work, conn: Connection) -> int:
    """Seal the copy under the new tenant's keys, with the receipts that lie in the backup store."""
    keys, source_id = work.platform.keys, work.order.source.id
    origin = receipts.BackupBlobs(work.order.store, source_id)
    return reseal(conn, work.platform.settings, keys.tenant(source_id), keys.tenant(work.target_id), origin)


def _finish(work: Work) -> None:
    finish_database(work.platform, work.names.pid, work.revision)


def _switch(work: Work) -> None:
    order, pid = work.order, work.names.pid
    detail = {"backup": order.backup.id, "placement": pid}
    if order.as_slug is None:
        work.result = switch_in_place(work.platform, order.source, pid, order.operator, detail)
    else:
        new = NewTenant(work.target_id, order.as_slug, order.source)
        work.result = open_new(work.platform, new, pid, order.operator, detail)


STEPS: tuple[tuple[str, Callable[[Work], None]], ...] = (
    ("making a new database", _prepare),
    (LOADING, _load),
    ("comparing with the manifest", _compare),
    ("bringing receipts back", _receipts),
    ("making it current", _adapt),
    ("closing and checking the gates", _finish),
    ("switching", _switch),
)


def _undo(work: Work) -> None:
    """Leave nothing of a restore that did not come to its end; the clearing drops what cannot be dropped now."""
    if work.order.as_slug is not None:
        traces.undo(work.platform, work.target_id, work.names.pid)
        return
    with suppress(StrongroomError, psycopg.Error):  # refused where the workspace lives in it already
        drop_placement(work.platform, work.names.pid)
