"""The key store: files apart from every database, each wrapped by the master key."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from ...config.errors import FailedError, KeyMissingError, RefusedError
from ...config.settings import Settings
from . import durable
from .credentials import DatabaseCredential
from .objects import ObjectFolder, check_private, read_private
from .records import (
    ArchiveKeys,
    PlatformKeys,
    TenantKeys,
    credential_payload,
    load_credential,
    next_credential,
    with_next,
)
from .wrapping import MasterKey

MASTER_FILE = "master.key"
SERVICE_ROLES = ("strongroom_control", "strongroom_provisioner", "strongroom_migrator", "strongroom_backup")
SERVER_ROLES = SERVICE_ROLES[1:]  # what an external server needs: the control database is not there
_KINDS = ("platform", "service", "server", "placement", "tenant", "erased", "archive")
PLATFORM_OBJECT = "platform"
TOMBSTONES = "erased"  # kind of the tombstones: ids of accounts that must never have keys again

Record = TypeVar("Record")


class KeyStore:
    """All secrets of an installation. Safe for several threads and processes.

    Records that were read once are remembered as long as their file has not changed, so a key that another process
    destroys is gone here at the next call.
    """

    def __init__(self, settings: Settings, master: MasterKey) -> None:
        """Use `open` or `create` instead."""
        self.master_id = master.id
        self._objects = ObjectFolder(settings.keys_dir, settings.key_copies_dir, master)
        self._cache: dict[tuple[str, str], tuple[tuple[int, int], object]] = {}

    @classmethod
    def open(cls, settings: Settings) -> "KeyStore":
        """Open an existing store and prove that the master key fits.

        Raises `KeyMissingError` if there is none, `RefusedError` for wrong modes, `VerificationError` for a wrong
        master key or a damaged file.
        """
        folder = settings.keys_dir
        _check_folder(folder)
        store = cls(settings, _read_master(folder / MASTER_FILE))
        store.platform()
        store._destroy_buried()
        return store

    @classmethod
    def create(cls, settings: Settings) -> "KeyStore":
        """Make whatever is missing of master key, platform keys and service credentials; open the store.

        Idempotent. Never makes a new master key while objects wrapped by another one lie in the store.
        """
        folder = settings.keys_dir
        durable.make_folder(folder)
        _check_folder(folder)
        path = folder / MASTER_FILE
        if not path.exists():
            _refuse_orphaned_objects(folder)
            durable.write_once(path, MasterKey.generate().encode())
        durable.sweep(folder, older_than=60)  # a writer killed half-way must not leave a second master key about
        store = cls(settings, _read_master(path))
        store._create_platform()
        return store

    def platform(self) -> PlatformKeys:
        """Return the secrets that belong to no tenant."""
        return self._read("platform", PLATFORM_OBJECT, PlatformKeys.load)

    def replace_platform(self, keys: PlatformKeys) -> None:
        """Keep these instead of the secrets that belong to no tenant. For who holds the keys' lock."""
        self._objects.replace("platform", PLATFORM_OBJECT, keys.payload())

    def platform_copy(self) -> PlatformKeys:
        """What the second copy holds. Raises `FileNotFoundError`, `VerificationError`, `RefusedError`."""
        return PlatformKeys.load(self._objects.read_copy("platform", PLATFORM_OBJECT))

    def service_credential(self, role: str, server: str | None = None) -> DatabaseCredential:
        """Return the login of one of the platform's own roles, on the external `server` if named.

        Raises `KeyMissingError` for a server that has none.
        """
        if server is None:
            return self._read("service", role, load_credential)
        return self._read("server", server, _load_logins)[role]

    def create_server(self, server: str) -> None:
        """Make the logins of the platform's own roles on an external server, unless it has them.

        Each server has its own: whoever owns a server can turn a login that it has seen into one to any server that
        keeps the same verifier.
        """
        made = {role: credential_payload(DatabaseCredential.generate(role)) for role in SERVER_ROLES}
        self._objects.create("server", server, made)

    def create_tenant(self, tenant_id: str) -> TenantKeys:
        """Make the keys of a tenant, or return those that it has. Durable with its copy on return.

        Raises `RefusedError` for a tenant that was erased.
        """
        if self._objects.path(TOMBSTONES, tenant_id).exists():
            raise RefusedError(f"The account {tenant_id} was erased; nothing gets keys under its id again.")
        payload = self._objects.create("tenant", tenant_id, TenantKeys.generate(tenant_id).payload())
        return TenantKeys.load(tenant_id, payload)

    def tenant(self, tenant_id: str) -> TenantKeys:
        """Return the keys of a tenant. Raises `KeyMissingError` if it has none (any more)."""
        return self._read("tenant", tenant_id, lambda payload: TenantKeys.load(tenant_id, payload))

    def destroy_tenant(self, tenant_id: str) -> None:
        """Destroy the keys of a tenant and their copy: nothing of it can be read again, backups included."""
        self._destroy("tenant", tenant_id)

    def bury(self, tenant_id: str, buried_at: datetime) -> datetime:
        """Put up a tombstone, durable with its copy; return since when it stands. Idempotent.

        It stands in the key store because an older copy of the control database does not know of the erasure.
        """
        kept = self._objects.create(TOMBSTONES, tenant_id, {"at": buried_at.isoformat()})
        return datetime.fromisoformat(kept["at"])

    def buried(self) -> dict[str, datetime]:
        """Return the ids of the tenants that were erased, and when that began."""
        return {
            tenant_id: datetime.fromisoformat(self._objects.read(TOMBSTONES, tenant_id)["at"])
            for tenant_id in self._objects.names(TOMBSTONES)
        }

    def places(self, kind: str, name: str) -> tuple[Path, Path]:
        """Return where the store keeps an object, and where its second copy is; neither need exist."""
        return self._objects.path(kind, name), self._objects.copy_path(kind, name)

    def tenant_ids(self) -> list[str]:
        """Return the ids of all tenants that have keys."""
        return self._objects.names("tenant")

    def create_placement(self, pid: str) -> DatabaseCredential:
        """Make the login `t_<pid>` of a placement, or return the one that it has."""
        made = DatabaseCredential.generate(f"t_{pid}")
        return load_credential(self._objects.create("placement", pid, credential_payload(made)))

    def placement(self, pid: str) -> DatabaseCredential:
        """Return the login of a placement. Raises `KeyMissingError` if it has none (any more)."""
        return self._read("placement", pid, load_credential)

    def begin_rotation(self, pid: str) -> tuple[DatabaseCredential, DatabaseCredential]:
        """Return the login of a placement and the one that is to replace it, both durable until `end_rotation`.

        A rotation that was begun before goes on with the same pair. Only for who holds the tenant's lock.
        """
        payload = self._objects.read("placement", pid)
        coming = next_credential(payload)
        if coming is None:
            coming = DatabaseCredential.generate(f"t_{pid}")
            self._objects.replace("placement", pid, with_next(payload, coming))
        return load_credential(payload), coming

    def end_rotation(self, pid: str) -> None:
        """Forget the old login: the server knows the new one."""
        coming = next_credential(self._objects.read("placement", pid))
        if coming is not None:
            self._objects.replace("placement", pid, credential_payload(coming))

    def placement_logins(self, pid: str) -> list[DatabaseCredential]:
        """Return the logins that may be right at this moment: while one is being replaced, both, the present one first.

        In this order none is missed: where the server refuses the present one, it has the new one already.
        """
        payload = self._objects.read("placement", pid)
        coming = next_credential(payload)
        return [load_credential(payload), coming] if coming else [load_credential(payload)]

    def possible_logins(self, pid: str) -> Iterator[DatabaseCredential]:
        """Yield each login that may be right, again when a rotation has changed them meanwhile.

        A new login is in the store before the server gets it. So once they are the same as before, none is missing:
        the server goes from the first to the second and never back.
        Raises `KeyMissingError`.
        """
        asked: list[DatabaseCredential] = []
        while (logins := self.placement_logins(pid)) != asked:
            yield from logins
            asked = logins

    def destroy_placement(self, pid: str) -> None:
        """Destroy the login of a placement and its copy."""
        self._destroy("placement", pid)

    def placement_ids(self) -> list[str]:
        """Return the ids of all placements that have a login."""
        return self._objects.names("placement")

    def create_archive(self, day: str) -> ArchiveKeys:
        """Make the keys of a day (YYYYMMDD, UTC) of the log archive, or return those that it has."""
        if day in self.archive_days():
            return self.archive(day)
        payload = self._objects.create("archive", day, ArchiveKeys.generate(day).payload())
        return ArchiveKeys.load(day, payload)

    def archive(self, day: str) -> ArchiveKeys:
        """Return the keys of a day of the log archive. Raises `KeyMissingError` if it has none (any more)."""
        return self._read("archive", day, lambda payload: ArchiveKeys.load(day, payload))

    def archive_days(self) -> list[str]:
        """Return the days of the log archive that have keys, sorted."""
        return self._objects.names("archive")

    def destroy_archive(self, day: str) -> None:
        """Destroy the keys of a day of the log archive and their copy: nothing of that day can be read again."""
        self._destroy("archive", day)

    def forget(self) -> None:
        """Drop every remembered secret from memory."""
        self._cache.clear()

    def recover(self) -> int:
        """Bring back what the second copy holds and the store has lost; return how many objects.

        Keys of tenants that were erased, from an older copy of the copies, do not stay.
        """
        brought = self._objects.recover()
        return brought - self._destroy_buried()

    def _destroy_buried(self) -> int:
        """Destroy what an older copy of the keys has brought back of tenants that were erased; return how many."""
        back = [
            one for one in self._objects.names(TOMBSTONES) if any(path.exists() for path in self.places("tenant", one))
        ]
        for tenant_id in back:
            self._objects.read(TOMBSTONES, tenant_id)  # raises unless it was we who put it there
            self.destroy_tenant(tenant_id)
        return len(back)

    def _create_platform(self) -> None:
        self._objects.create("platform", PLATFORM_OBJECT, PlatformKeys.generate().payload())
        for role in SERVICE_ROLES:
            self._objects.create("service", role, credential_payload(DatabaseCredential.generate(role)))

    def _read(self, kind: str, name: str, load: Callable[[dict[str, Any]], Record]) -> Record:
        stamp = self._stamp(kind, name)
        cached = self._cache.get((kind, name))
        if cached is not None and stamp is not None and cached[0] == stamp:
            return cached[1]  # pyright: ignore[reportReturnType]  # the kind decides the type of the record
        self._cache.pop((kind, name), None)
        record = load(self._objects.read(kind, name))
        if stamp is not None:
            self._cache[kind, name] = stamp, record
        return record

    def _stamp(self, kind: str, name: str) -> tuple[int, int] | None:
        try:
            status = self._objects.path(kind, name).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def _destroy(self, kind: str, name: str) -> None:
        self._objects.destroy(kind, name)
        self._cache.pop((kind, name), None)


def _load_logins(payload: dict[str, Any]) -> dict[str, DatabaseCredential]:
    return {role: load_credential(login) for role, login in payload.items()}


def _check_folder(folder: Path) -> None:
    try:
        check_private(folder, folder.stat())
    except FileNotFoundError as error:
        raise KeyMissingError(f"There is no key store in {folder}; run: strongroom init") from error
    except OSError as error:
        raise FailedError(f"{folder} cannot be read: {error.strerror}.") from error


def _read_master(path: Path) -> MasterKey:
    try:
        return MasterKey.parse(read_private(path).decode("ascii", "replace"), path)
    except FileNotFoundError as error:
        raise KeyMissingError(f"The master key {path} is missing; put it back from where you keep its copy.") from error


def _refuse_orphaned_objects(folder: Path) -> None:
    if any(True for kind in _KINDS for _ in (folder / kind).glob("*")):
        raise RefusedError(
            f"The master key {folder / MASTER_FILE} is missing but keys that it wraps are there; "
            "put it back from where you keep its copy."
        )
