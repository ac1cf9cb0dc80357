"""Brings the catalogue up to date with the store: what was made after the backup of the control database, what is gone.

An entry is adopted from its descriptor alone, whose HMAC only holders of the workspace's key can make. It counts as
`stored`, not as verified: the restore proves it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ...config.errors import NotFoundError, RefusedError, VerificationError
from ...platform.control.platform import Platform
from .. import catalogue, names
from ..header import Descriptor
from ..records import BackupState
from ..stores.contract import Store
from ..subject import identity_of
from ..verify import DESCRIPTOR_LIMIT
from . import queries
from .queries import Entry

_HELD = (BackupState.STORED, BackupState.VERIFIED)
_LOST = "Its object is not whole in the store that everything was recovered from."
_CUT = "The machine was lost while this backup was made."


@dataclass(frozen=True, slots=True)
class Adopted:
    """What the catalogue has learnt."""

    adopted: int = 0  # backups that it did not know, or knew as running
    lost: int = 0  # backups whose object is gone or has another size, and that no other store has
    refused: list[str] = field(default_factory=list[str])  # sentences about descriptors that were not believed
    strangers: list[str] = field(default_factory=list[str])  # ids of workspaces that have backups, keys and no row


def adopt(platform: Platform, store: Store, store_name: str) -> Adopted:
    """Compare catalogue and store, and write what differs, in one transaction. Idempotent."""
    sizes = {entry.name: entry.size for entry in store.list() if _is_backup(entry.name)}
    with platform.control.begin() as conn:
        known, rows = queries.entries(conn), queries.tenant_ids(conn)
        unknown = _unknown(sizes, known, set(platform.keys.tenant_ids()))
        found, refused = _read_all(platform, store, sizes, [one for one in unknown if _owner(one) in (None, *rows)])
        for descriptor in found:
            queries.put_stored(conn, descriptor, datetime.fromisoformat(descriptor.header.created_at))
        adopted = {descriptor.header.backup_id for descriptor in found}
        gone = [one for one in known.values() if one.id not in adopted and _is_gone(one, sizes)]
        stores = [one.name for one in platform.settings.backup_stores]
        elsewhere = queries.keep_copies(conn, store_name, stores, [one.id for one in gone])
        lost = [one for one in gone if one.id not in elsewhere]
        for one in lost:
            sentence = _CUT if one.state is BackupState.RUNNING else _LOST
            catalogue.mark_failed(conn, one.id, sentence, datetime.now(UTC), (*_HELD, BackupState.RUNNING))
        queries.forget_prolongations(conn, [one.id for one in lost])
    strangers = sorted({owner for one in unknown if (owner := _owner(one)) and owner not in rows})
    return Adopted(len(adopted), len(lost), refused, strangers)


def _unknown(sizes: Mapping[str, int], known: Mapping[str, Entry], with_keys: set[str]) -> list[str]:
    """Return the descriptors without a finished entry, of the control database and of workspaces that have keys."""
    return [
        name
        for name in sorted(sizes)
        if name.endswith(".json")
        and ((entry := known.get(_id(name))) is None or entry.state is BackupState.RUNNING)
        and _owner(name) in (None, *with_keys)
    ]


def _read_all(
    platform: Platform, store: Store, sizes: Mapping[str, int], wanted: list[str]
) -> tuple[list[Descriptor], list[str]]:
    found: list[Descriptor] = []
    refused: list[str] = []
    for name in wanted:
        try:
            found.append(_read(platform, store, sizes, name))
        except (VerificationError, NotFoundError, RefusedError) as error:
            refused.append(f"The backup {_id(name)} was not taken into the catalogue: {error}")
    return found, refused


def _read(platform: Platform, store: Store, sizes: Mapping[str, int], name: str) -> Descriptor:
    """Authenticate a descriptor and compare it with its name and its object's size."""
    tenant_id, backup_id = _owner(name), _id(name)
    with store.open(name) as file:
        descriptor = Descriptor.decode(file.read(DESCRIPTOR_LIMIT), identity_of(platform, tenant_id))
    header = descriptor.header
    said = (header.kind, header.tenant_id, header.backup_id, descriptor.object)
    if said != ("tenant" if tenant_id else "control", tenant_id, backup_id, names.dump_object(tenant_id, backup_id)):
        raise VerificationError("Its descriptor belongs to another backup.")
    if sizes.get(descriptor.object) != descriptor.size:
        raise VerificationError("Its object is missing or has another size than its descriptor says.")
    return descriptor


def _is_gone(one: Entry, sizes: Mapping[str, int]) -> bool:
    if one.state is BackupState.RUNNING:
        return True  # else it would have been adopted
    if one.state not in _HELD or one.object is None:
        return False
    return sizes.get(one.object) != one.size or names.descriptor_object(one.object) not in sizes


def _is_backup(name: str) -> bool:
    parts = name.split("/")
    return name.endswith((".age", ".json")) and (parts[0], len(parts)) in (("tenants", 3), ("control", 2))


def _owner(name: str) -> str | None:
    """Return the id of the workspace that a descriptor's name speaks of, None for the control database."""
    parts = name.split("/")
    return parts[1] if parts[0] == "tenants" else None


def _id(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".json")
