"""Proves a backup: restore it into a scratch instance, reproduce its manifest, check its receipts by their hashes."""

import hashlib
from datetime import UTC, datetime

from ..config.errors import CallError, FailedError, NotFoundError, RefusedError, VerificationError
from ..platform.control.platform import Platform
from ..provisioning.sessions import Session
from . import age, catalogue, copy_checks, names, pipeline
from .copy_checks import Copy
from .header import Descriptor
from .manifest import differences, read_manifest
from .progress import Steps, Watch, unseen, unwatched
from .records import Backup, BackupState
from .scratch import ScratchPool
from .stores.contract import Store
from .subject import identity_of
from .tools import InterruptedProgramError, restoring

DESCRIPTOR_LIMIT = 64 << 20
PROVABLE = (BackupState.STORED, BackupState.VERIFIED)


def verify_backup(
    platform: Platform, store: Store, scratch: ScratchPool, backup: Backup, steps: Steps = unseen
) -> Backup:
    """Verify a stored backup as it lies in `store`, and record the outcome: `verified`, or `failed` with a sentence.

    Where another store has it, too, only the copy is recorded as bad.

    Raises `VerificationError` after recording that the backup is bad. When the check itself could not be made (no
    space, server down, store away) it raises `FailedError`, without a key `KeyMissingError` or `VerificationError`, and
    `RefusedError` for a format newer than this version knows; the entry stays as it was.
    """
    require_provable(backup)
    copy = Copy(backup, store.name)
    identity_of(platform, backup.tenant_id)  # a key that is missing or damaged says nothing about the backup
    try:
        check_backup(platform, store, scratch, backup, steps)
    except (VerificationError, NotFoundError, CallError) as error:  # CallError: a name that is none
        if isinstance(error, NotFoundError):
            require_not_empty(store)
        with platform.control.begin() as conn:
            copy_checks.mark_bad(conn, copy, str(error), datetime.now(UTC))
        raise VerificationError(
            f"The backup {backup.id} of “{backup.label}” failed its verification: {error}"
        ) from error
    with platform.control.begin() as conn:
        if not catalogue.mark_verified(conn, backup.id, datetime.now(UTC)):
            raise FailedError(f"The backup {backup.id} changed its state while it was being verified.")
        copy_checks.mark_checked(conn, copy, datetime.now(UTC))
        return catalogue.by_id(conn, backup.id)


def check_backup(
    platform: Platform, store: Store, scratch: ScratchPool, backup: Backup, steps: Steps = unseen
) -> Descriptor:
    """Do all checks; record nothing. Raises `VerificationError` or `NotFoundError` for a bad backup."""
    identity = identity_of(platform, backup.tenant_id)
    descriptor = read_descriptor(store, backup, identity)
    with scratch.database() as database:
        try:
            with restoring(database.target) as archive:
                read_dump(store, descriptor, identity, archive, steps("verifying", descriptor.size))
        except InterruptedProgramError:
            raise
        except FailedError as error:
            raise VerificationError(f"It cannot be restored: {error}") from error
        compare(descriptor, database.session)
    for receipt in descriptor.receipts:
        check_receipt(store, backup, receipt.sha256)
    return descriptor


def require_not_empty(store: Store) -> None:
    """Raise `FailedError` for a store that holds nothing at all: a disk is missing there, not a backup."""
    if next(iter(store.list()), None) is None:
        raise FailedError(f"The backup store “{store.name}” is empty; is its disk mounted?")


def require_provable(backup: Backup) -> None:
    """Raise `RefusedError` unless the backup has an object of its own that counts, or may count after all.

    One that failed its verification may be proved later: the disk with the store was away, say.
    """
    was_whole = backup.state is BackupState.FAILED and backup.object is not None and backup.size is not None
    if backup.state not in PROVABLE and not was_whole:
        of = f"; its content is that of {backup.unchanged_since}" if backup.unchanged_since else ""
        raise RefusedError(f"The backup {backup.id} of “{backup.label}” is {backup.state}{of}.")


def read_descriptor(store: Store, backup: Backup, identity: str) -> Descriptor:
    """Read, authenticate and compare with the catalogue. Raises `VerificationError`, `NotFoundError`."""
    if backup.object is None or backup.object != names.dump_object(backup.tenant_id, backup.id):
        raise VerificationError("The catalogue names no object, or not the one of this backup.")
    with store.open(names.descriptor_object(backup.object)) as file:
        descriptor = Descriptor.decode(file.read(DESCRIPTOR_LIMIT), identity)
    header = descriptor.header
    found = (header.kind, header.backup_id, header.tenant_id, header.schema_revision, descriptor.object)
    if found != (backup.kind, backup.id, backup.tenant_id, backup.schema_revision, backup.object):
        raise VerificationError("The descriptor belongs to another backup than the catalogue says.")
    if (descriptor.size, descriptor.sha256) != (backup.size, backup.sha256):
        raise VerificationError("Descriptor and catalogue disagree about size or hash of the object.")
    return descriptor


def read_dump(
    store: Store, descriptor: Descriptor, identity: str, target: age.Writer, watch: Watch = unwatched
) -> None:
    """Decrypt the dump into `target`; see `pipeline.read_object`."""
    expected = pipeline.Written(descriptor.size, descriptor.sha256)
    pipeline.read_object(store, descriptor.object, expected, descriptor.header, identity, target, watch=watch)


def compare(descriptor: Descriptor, session: Session) -> None:
    """Raise `VerificationError` unless the database holds exactly what the manifest says."""
    with session.transaction():
        found = differences(descriptor.manifest, read_manifest(session, descriptor.manifest.layout))
    if found:
        raise VerificationError(f"The restored copy differs from the original: {'; '.join(found[:5])}.")


def check_receipt(store: Store, backup: Backup, sha256: str) -> int:
    """Raise `VerificationError` unless the store holds the sealed receipt with this hash; return its size in bytes."""
    assert backup.tenant_id is not None
    try:
        with store.open(names.receipt_object(backup.tenant_id, sha256)) as file:
            content = file.read()  # a receipt has at most 20 MB
    except NotFoundError as error:
        raise VerificationError(f"The receipt {sha256} of this backup is missing from the store.") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise VerificationError(f"The receipt {sha256} of this backup is damaged in the store.")
    return len(content)
