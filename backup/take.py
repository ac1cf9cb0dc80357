"""Takes one backup: from a row `running` to a row `stored`, or `unchanged`. Whenever it is killed, nothing false stays.

Order matters (design: what must hold when a process is killed at any moment): the row and the keys are durable before
the first byte, the object before its descriptor, both before the row says `stored`.
"""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import psycopg

from ..config.errors import FailedError, StrongroomError
from ..platform.control.platform import Platform
from ..provisioning.names import BACKUP
from ..provisioning.sessions import Session
from . import catalogue, copy_queries, keycopies, names, pipeline, receipt_healing, receipts
from .contents import dump_options
from .copies import places_for
from .due import needs_dump
from .fingerprint import Fingerprint, read_fingerprint
from .header import Descriptor, Header, ReceiptCopy, timestamp
from .lease import kept_alive, lease_end
from .manifest import Manifest, read_manifest
from .progress import Steps, unseen
from .records import Backup, BackupState
from .stores.contract import Store
from .subject import Subject, reading, subject_of, target_for
from .tools import dumping
from .writing import alone, writing

DUMPED = (BackupState.STORED, BackupState.VERIFIED)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A moment of a database that several sessions can look at."""

    id: str
    session: Session
    server_version: int


def take_backup(
    platform: Platform, store: Store, tenant_id: str | None, *, force: bool = False, steps: Steps = unseen
) -> Backup:
    """Back up a tenant (None: the control database) in `store`; return the entry, which is `stored` or `unchanged`.

    Waits for whoever makes one of the same. `force`: dump even an unchanged database. Raises `BusyError` when that
    takes too long, `NotFoundError` and `RefusedError` (the store takes no data of the tenant's region) before anything
    is recorded; later errors are recorded in the entry, then raised.
    """
    places_for(platform, tenant_id, store)
    with writing(platform, tenant_id), alone(platform, tenant_id):
        backup_id, subject = _begin(platform, tenant_id)
        try:
            with kept_alive(platform.control, backup_id):
                _take(platform, store, subject, backup_id, force=force, steps=steps)
        except StrongroomError as error:
            _give_up(platform, store, subject, backup_id, str(error))
            raise
        except (psycopg.Error, OSError) as error:
            _give_up(platform, store, subject, backup_id, "The database or the disk failed during the backup.")
            raise FailedError(f"The backup failed: {str(error).splitlines()[0]}.") from error
    with platform.control.begin() as conn:
        return catalogue.by_id(conn, backup_id)


def _begin(platform: Platform, tenant_id: str | None) -> tuple[str, Subject]:
    now = datetime.now(UTC)
    backup_id = names.new_backup_id(now)
    with platform.control.begin() as conn:
        subject = subject_of(platform, conn, tenant_id)
        catalogue.begin(
            conn,
            backup_id,
            tenant_id=tenant_id,
            placement_id=subject.placement_id,
            object_name=names.dump_object(tenant_id, backup_id),
            started_at=now,
            lease_until=lease_end(),
        )
    return backup_id, subject


def _take(platform: Platform, store: Store, subject: Subject, backup_id: str, *, force: bool, steps: Steps) -> None:
    with reading(platform, subject) as session:
        fingerprint = read_fingerprint(session)
        if not force and _unchanged(platform, store, subject, backup_id, fingerprint):
            return
        keycopies.ensure(platform, subject.tenant_id, store.name)
        with exported_snapshot(session) as snapshot:
            descriptor = _dump(platform, store, subject, backup_id, snapshot, steps)
    if subject.tenant_id:
        descriptor = _with_receipts(platform, store, subject.tenant_id, descriptor)
    with store.create(names.descriptor_object(descriptor.object)) as target:
        target.write(descriptor.encode(subject.recipient, subject.identity))
    others = places_for(platform, subject.tenant_id, store)
    with platform.control.begin() as conn:
        if not catalogue.mark_stored(conn, backup_id, descriptor, fingerprint, datetime.now(UTC)):
            raise FailedError("The backup took so long without a sign of life that it was given up.")
        copy_queries.record(conn, backup_id, store.name, others)


def _with_receipts(platform: Platform, store: Store, tenant_id: str, descriptor: Descriptor) -> Descriptor:
    """Copy the receipts. One that its origin has lost is written down as lost: all the rest can still be restored."""
    receipt_healing.make_way(platform, store, tenant_id, descriptor.receipts)
    lost = receipts.copy_missing(platform, store, tenant_id, descriptor.receipts)
    there = tuple(receipt for receipt in descriptor.receipts if receipt not in lost)
    return replace(descriptor, receipts=there, lost=tuple(lost))


def _unchanged(
    platform: Platform, store: Store, subject: Subject, backup_id: str, fingerprint: Fingerprint | None
) -> bool:
    """Record that nothing has changed, if so."""
    now = datetime.now(UTC)
    with platform.control.connect() as conn:
        last = catalogue.newest(conn, subject.tenant_id, DUMPED)
    if last is None or fingerprint is None or last.fingerprint != fingerprint:
        return False
    if last.state is not BackupState.VERIFIED or last.placement_id != subject.placement_id or last.receipts_lost:
        return False
    if last.object is None or not store.exists(last.object):  # the store was emptied, or is another one
        return False
    with platform.control.begin() as conn:
        return not needs_dump(last.started_at, now) and catalogue.mark_unchanged(conn, backup_id, last, now)


@contextmanager
def exported_snapshot(session: Session) -> Generator[Snapshot]:
    """Yield a moment of the database, which lasts as long as the block."""
    with session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = session.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        yield Snapshot(str(row[0]), session, session.info.server_version)


def _dump(
    platform: Platform, store: Store, subject: Subject, backup_id: str, snapshot: Snapshot, steps: Steps
) -> Descriptor:
    """Write the dump's object, and read the manifest and the list of receipts in the same snapshot meanwhile."""
    header = Header(
        kind=subject.kind,
        backup_id=backup_id,
        tenant_id=subject.tenant_id,
        schema_revision=subject.schema_revision,
        server_version=snapshot.server_version,
        created_at=timestamp(datetime.now(UTC)),
    )
    name = names.dump_object(subject.tenant_id, backup_id)
    options = [f"--snapshot={snapshot.id}", *dump_options(snapshot.session)]
    with (
        ThreadPoolExecutor(1, "backup-manifest") as beside,
        target_for(platform, subject.server, BACKUP, subject.database) as target,
    ):
        content = beside.submit(_content, subject, snapshot.session)
        with dumping(target, *options) as dump:
            written = pipeline.write_object(store, name, header, dump, subject.recipient, steps("dumping", None))
        manifest, copies = content.result()
    return Descriptor(header, name, written.size, written.sha256, manifest, tuple(copies))


def _content(subject: Subject, session: Session) -> tuple[Manifest, list[ReceiptCopy]]:
    listed = receipts.list_receipts(session) if subject.tenant_id else []
    return read_manifest(session), listed


def _give_up(platform: Platform, store: Store, subject: Subject, backup_id: str, sentence: str) -> None:
    """Record why; only then remove what the attempt may have stored."""
    with platform.control.begin() as conn:
        catalogue.mark_failed(conn, backup_id, sentence, datetime.now(UTC), (BackupState.RUNNING,))
    with suppress(StrongroomError):  # what cannot be removed now, the collector removes
        names.remove_objects(store, names.dump_object(subject.tenant_id, backup_id))
