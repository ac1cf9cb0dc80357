"""Backups in several stores: made in one, copied to the others, read from whichever answers, removed from all.

A copy is the sealed object as it is, so nothing is opened but the descriptor, which says what belongs to the backup.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import BinaryIO

from ..config.errors import (
    FailedError,
    NotFoundError,
    RefusedError,
    StrongroomError,
    VerificationError,
)
from ..config.stores import StoreSettings
from ..platform.control.platform import Platform
from ..platform.tenants import queries as tenants
from ..provisioning.locking import held
from . import catalogue, copy_queries, keycopies, names
from .header import Descriptor
from .records import Backup
from .stores.contract import Store
from .stores.opening import open_store, stores_for
from .subject import identity_of
from .writing import writing

PIECE = 1 << 20  # bytes
FIRST_RETRY, LAST_RETRY = timedelta(minutes=1), timedelta(hours=1)
_DESCRIPTOR_LIMIT = 64 << 20

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Copied:
    """What `replicate` has done: backups copied, and those that could not be, with a sentence for each store."""

    copied: int
    failures: dict[str, str]


def making_store(platform: Platform, tenant_id: str | None) -> Store:
    """Return the store in which backups of a tenant (None: of the control database) are made.

    Raises `NotFoundError`, or `RefusedError` when no store takes the tenant's region.
    """
    return open_store(platform.settings, _taking(platform, tenant_id)[0].name)


def places_for(platform: Platform, tenant_id: str | None, store: Store) -> list[str]:
    """Return the names of the other stores that a tenant's backup, made in `store`, is copied to.

    Raises `RefusedError` when `store` itself must not have it: data stay in their region.
    """
    taking = [described.name for described in _taking(platform, tenant_id)]
    if store.name not in taking:
        raise RefusedError(f"The backup store “{store.name}” does not take workspaces of this region.")
    return [name for name in taking if name != store.name]


def replicate(platform: Platform, now: datetime | None = None) -> Copied:
    """Copy to every store what it is to have and lacks. Safe at any moment, in several processes.

    A store that does not answer is left in peace until its next try: after a minute, then twice as long each time.
    """
    copied, failures = 0, dict[str, str]()
    for described in platform.settings.backup_stores if len(platform.settings.backup_stores) > 1 else ():
        with held(platform, f"backup copies {described.name}") as mine:
            if mine:
                count, failure = _fill(platform, described, now or datetime.now(UTC))
                copied += count
                failures |= {described.name: failure} if failure else {}
    return Copied(copied, failures)


def holding(platform: Platform, backup: Backup) -> Store:
    """Return the first store that has the backup and answers, in the order of the settings.

    Raises `FailedError` when none of them answers.
    """
    with platform.control.connect() as conn:
        known = copy_queries.stores_with(conn, backup.id)
    every = platform.settings.backup_stores
    having = [described.name for described in every if described.name in known] or [every[0].name]
    if backup.object != names.dump_object(backup.tenant_id, backup.id):  # whoever reads it refuses such a name
        return open_store(platform.settings, having[0])
    answered: list[Store] = []
    error = FailedError(f"No store has the backup {backup.id}.")
    for name in having:
        try:
            store = open_store(platform.settings, name)
            if backup.object is not None and store.exists(names.descriptor_object(backup.object)):
                return store
            answered.append(store)
        except StrongroomError as failed:
            error = FailedError(str(failed))
            _logger.warning("%s", failed)
    if answered and len(answered) == len(having):  # none of them has it: whoever reads it gets to know
        return answered[0]
    raise error


def remove_everywhere(platform: Platform, *backups: Backup) -> None:
    """Remove objects of backups from all stores. Raises `FailedError` after trying all, if one did not do it."""
    dumps = [backup.object for backup in backups if backup.object is not None]
    if dumps:
        _, failures = in_each(platform, partial(_remove_objects, dumps))
        if failures:
            raise FailedError(next(iter(failures.values())))


def in_each(platform: Platform, work: Callable[[Store], int]) -> tuple[int, dict[str, str]]:
    """Do something in every store with the credential that may delete; return the sum, and what failed where."""
    total, failures = 0, dict[str, str]()
    for described in platform.settings.backup_stores:
        try:
            total += work(open_store(platform.settings, described.name, pruning=True))
        except StrongroomError as error:
            failures[described.name] = str(error)
            _logger.warning("The backup store %s is left as it is for now: %s", described.name, error)
    return total, failures


def _remove_objects(dumps: Sequence[str], store: Store) -> int:
    for dump in dumps:
        names.remove_objects(store, dump)
    return len(dumps)


def _taking(platform: Platform, tenant_id: str | None) -> list[StoreSettings]:
    """The control database goes to every store: each must be enough to recover from."""
    if tenant_id is None:
        return stores_for(platform.settings, None)
    with platform.control.connect() as conn:
        return stores_for(platform.settings, tenants.by_id(conn, tenant_id).region)


def _fill(platform: Platform, described: StoreSettings, now: datetime) -> tuple[int, str | None]:
    with platform.control.begin() as conn:
        copy_queries.add_missing(conn, described.name, described.region, now)
        missing = copy_queries.due(conn, described.name, now)
    count, failure = 0, None
    for one in missing:
        try:
            _copy(platform, one.backup_id, described.name)
        except StrongroomError as error:
            pause = min(FIRST_RETRY * 2 ** min(one.attempts, 10), LAST_RETRY)
            with platform.control.begin() as conn:
                copy_queries.mark_failed(conn, one.backup_id, described.name, str(error), now + pause)
            _logger.warning("The backup %s is not in the store %s yet: %s", one.backup_id, described.name, error)
            failure = str(error)
            if isinstance(error, FailedError) and not _answers(platform, described.name):
                break
            continue
        with platform.control.begin() as conn:
            copy_queries.mark_stored(conn, one.backup_id, described.name, datetime.now(UTC))
        count += 1
    return count, failure


def _answers(platform: Platform, name: str) -> bool:
    """Say whether it is worth while to go on with the next backup: it was the other store that failed."""
    try:
        next(open_store(platform.settings, name).list("check"), None)
    except StrongroomError:
        return False
    return True


def _copy(platform: Platform, backup_id: str, name: str) -> None:
    with platform.control.connect() as conn:
        tenant_id = catalogue.by_id(conn, backup_id).tenant_id
    with writing(platform, tenant_id):  # no erasure is at work, nor begins one
        with platform.control.connect() as conn:
            backup = catalogue.by_id(conn, backup_id)
        target = open_store(platform.settings, name)
        keycopies.ensure(platform, tenant_id, name)
        _copy_objects(platform, backup, holding(platform, backup), target)


def _copy_objects(platform: Platform, backup: Backup, source: Store, target: Store) -> None:
    """Copy receipts, dump, and the descriptor last: what has one is whole."""
    if backup.object is None or backup.sha256 is None:
        raise NotFoundError(f"The backup {backup.id} has no object.")
    descriptor_name = names.descriptor_object(backup.object)
    with source.open(descriptor_name) as file:
        content = file.read(_DESCRIPTOR_LIMIT)
    descriptor = Descriptor.decode(content, identity_of(platform, backup.tenant_id))
    if backup.tenant_id is not None:
        _copy_receipts(source, target, backup.tenant_id, descriptor)
    copy_object(source, target, backup.object, backup.sha256)
    copy_object(source, target, descriptor_name, hashlib.sha256(content).hexdigest())


def _copy_receipts(source: Store, target: Store, tenant_id: str, descriptor: Descriptor) -> None:
    if not descriptor.receipts:
        return
    there = {found.name for found in target.list(f"{names.folder(tenant_id)}/receipts")}
    for sha256 in {receipt.sha256 for receipt in descriptor.receipts}:
        name = names.receipt_object(tenant_id, sha256)
        if name not in there:
            copy_object(source, target, name, sha256)


def copy_object(source: Store, target: Store, name: str, sha256: str) -> None:
    """Copy one object whose hash is known; one that the target has already is read and compared.

    Raises `VerificationError` when either is another one; nothing of it is then in the target that was not there.
    """
    try:
        with source.open(name) as file, target.create(name) as writer:
            digest = hashlib.sha256()
            for piece in _pieces(file):
                digest.update(piece)
                writer.write(piece)
            if digest.hexdigest() != sha256:
                raise VerificationError(f"The object {name} is damaged in the backup store “{source.name}”.")
    except RefusedError:  # a copying that was killed has come this far
        if _hash(target, name) != sha256:
            raise VerificationError(f"The backup store “{target.name}” has another object {name}.") from None


def _hash(store: Store, name: str) -> str:
    digest = hashlib.sha256()
    with store.open(name) as file:
        for piece in _pieces(file):
            digest.update(piece)
    return digest.hexdigest()


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece
