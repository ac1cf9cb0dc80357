"""Restores a backup into a new database, proves it there, and switches the tenant to it; or makes it a new tenant.

The tenant works on until the moment of the switch. The database it had before stays, closed, for a week.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import psycopg
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
from ..provisioning.names import Names
from ..provisioning.placements import drop_placement, finish_database, prepare_database
from ..provisioning.sessions import migrator_connection
from ..provisioning.spares import new_home
from ..tenant_schema.migrate import knows_revision
from . import catalogue, traces
from .adapt import adapt_copy, adapt_restored
from .content import BackupContent, Content
from .copies import holding
from .copying import Place
from .erasure.forget import replay_forgotten
from .header import Descriptor
from .progress import Event, Progress, silent, watching
from .records import Backup, BackupState
from .stores.contract import Store
from .subject import identity_of
from .switch import NewTenant, open_new, switch_in_place
from .verify import check_receipt, read_descriptor

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

    source: Tenant  # whose content it is
    content: Content
    as_slug: str | None
    operator: str


@dataclass(slots=True)
class Work:
    """State of a restore while its steps run, in the order of `STEPS`."""

    platform: Platform
    order: Order
    target_id: str  # the tenant that the copy is for
    server: Server
    names: Names  # database and roles of the new placement
    revision: str | None = None
    receipts: int = 0
    progress: Progress = silent
    result: Tenant | None = None

    @property
    def place(self) -> Place:
        """The new database."""
        return Place(self.server, self.names)


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
    with platform.control.connect() as conn:
        tenant_id = tenants.by_slug(conn, slug).id
    with tenant_lock(platform, tenant_id):
        source, backup = _choose(platform, slug, backup_id, as_slug)
        store = holding(platform, backup)
        progress(Event(slug, "checking the backup", 1, len(STEPS) + 1))
        descriptor = _check(platform, store, source, backup)
        content = BackupContent(platform, store, source, backup, descriptor)
        work = land(platform, Order(source, content, as_slug, operator), progress)
    assert work.result is not None
    retired = None if as_slug else source.placement_id
    rows, seconds = content.rows, time.monotonic() - began
    return Restored(work.result, backup, work.names.pid, retired, rows, work.receipts, seconds)


def land(platform: Platform, order: Order, progress: Progress) -> Work:
    """Make the content of `order` a tenant's database, in a new placement; the steps that every restore shares.

    For holders of the tenant's lock. Leaves nothing when it raises.
    """
    target_id = new_id() if order.as_slug else order.source.id
    with platform.control.connect() as conn:
        server = servers.by_name(conn, order.source.server)
    with new_home(platform, server, None if order.as_slug else target_id) as pid:
        work = Work(platform, order, target_id, server, Names(pid))
        _run_steps(work, progress)
    return work


def source_of(platform: Platform, slug: str, as_slug: str | None) -> Tenant:
    """Return the tenant to restore. Raises `NotFoundError`, `CallError`, `RefusedError` (slug taken, wrong state)."""
    with platform.control.connect() as conn:
        source = tenants.by_slug(conn, slug)
        if as_slug is not None:
            slugs.check_slug(as_slug)
            if tenants.is_taken(conn, as_slug):
                raise RefusedError(f"The workspace address “{as_slug}” is taken.")
        elif source.state not in (TenantState.ACTIVE, TenantState.SUSPENDED):
            raise RefusedError(f"The workspace “{slug}” is {source.state} and cannot be restored now.")
    return source


def _choose(platform: Platform, slug: str, backup_id: str | None, as_slug: str | None) -> tuple[Tenant, Backup]:
    source = source_of(platform, slug, as_slug)
    return source, choose_backup(platform, source, backup_id)


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
    size = work.order.content.size
    work.order.content.load(work.place, watching(work.progress, _event(work, LOADING, 3, size)))


def _compare(work: Work) -> None:
    work.order.content.compare(work.place)


def _receipts(work: Work) -> None:
    """In place, missing receipts come back as they were; a new tenant gets its own in the next step."""
    content = work.order.content
    work.receipts = content.receipt_count() if work.order.as_slug else content.bring_receipts_back()


def _adapt(work: Work) -> None:
    origin, owner = work.order.content.origin, work.names.owner
    with migrator_connection(work.platform, work.server, work.names.database) as conn, conn.begin():
        if work.order.as_slug is None:
            work.revision = adapt_restored(conn, owner, origin)
        else:
            work.revision = adapt_copy(conn, owner, origin, partial(_reseal, work))
        replay_forgotten(conn, work.order.source.id, work.platform, work.target_id)


def _reseal(work: Work, conn: Connection) -> int:
    """Seal the copy under the new tenant's keys, with the receipts of that time."""
    keys, order = work.platform.keys, work.order
    old, new = keys.tenant(order.source.id), keys.tenant(work.target_id)
    return reseal(conn, work.platform.settings, old, new, order.content.receipts())


def _finish(work: Work) -> None:
    finish_database(work.platform, work.names.pid, work.revision)


def _switch(work: Work) -> None:
    order, pid = work.order, work.names.pid
    detail = {**order.content.origin, "placement": pid}
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
