"""The control database: its newest backup that is whole, loaded into an empty database, compared, and upgraded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from ...config.errors import NotFoundError, RefusedError, VerificationError
from ...config.settings import Settings
from ...platform.control.platform import Platform, open_platform
from ...provisioning.initialise import initialise_home, set_recovering
from ...provisioning.names import CONTROL
from ...provisioning.postgres.embedded import EmbeddedServer
from ...provisioning.postgres.setup import set_up_without_tables
from ...provisioning.sessions import open_as
from .. import names
from ..header import Descriptor
from ..stores.contract import Store
from ..subject import control_subject, target_for
from ..tools import restoring
from ..verify import DESCRIPTOR_LIMIT, compare, read_dump

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Found:
    """A backup of the control database that is whole and authentic, and the ids of newer ones that are not."""

    descriptor: Descriptor
    damaged: tuple[str, ...] = ()

    @property
    def as_of(self) -> datetime:
        """When it was taken."""
        return datetime.fromisoformat(self.descriptor.header.created_at)


def whole_backups(store: Store, identity: str, say: Say) -> Iterator[Found]:
    """Yield the backups of the control database that are good, the newest first; say which are not, and why.

    Each is read to its end before it counts. Raises `RefusedError` for one of a newer format: this program is too old.
    """
    listed = [entry.name for entry in store.list(names.folder(None)) if entry.name.endswith(".json")]
    damaged: list[str] = []
    for name in sorted(listed, reverse=True):
        try:
            yield Found(_prove(store, name, identity), tuple(damaged))
        except (VerificationError, NotFoundError) as error:
            damaged.append(_id(name))
            say(f"The backup {_id(name)} of the control database is damaged and the one before is tried: {error}")


def require_backups(store: Store, where: str) -> None:
    """Raise `NotFoundError` if there is no backup of the control database."""
    if not any(entry.name.endswith(".json") for entry in store.list(names.folder(None))):
        raise NotFoundError(
            f"{where} holds no backup of the control database; is this the right folder or address? Single workspaces "
            "can be opened by hand (docs/restore-from-nothing.md)."
        )


def bring_back(settings: Settings, server: EmbeddedServer, store: Store, say: Say) -> Found:
    """Make the control database what its newest good backup says, at the revision of this program.

    Raises `VerificationError` when none of them is good, `RefusedError` when a
    newer program is needed. Nobody can work in the home before this has come to its end; it may then be repeated.
    """
    set_up_without_tables(settings, server)
    with server.session(), open_platform(settings) as platform:
        found = _load_newest(settings, server, platform, store, say)
    initialise_home(settings, recovering=True)
    return found


def let_work(settings: Settings) -> None:
    """Open the home to other commands: its control database is in place."""
    set_recovering(settings, recovering=False)


def _load_newest(settings: Settings, server: EmbeddedServer, platform: Platform, store: Store, say: Say) -> Found:
    for found in whole_backups(store, control_subject(platform).identity, say):
        try:
            _load(platform, store, found.descriptor)
        except VerificationError as error:
            backup_id = found.descriptor.header.backup_id
            say(f"The backup {backup_id} of the control database cannot be used and the one before is tried: {error}")
            set_up_without_tables(settings, server)
        else:
            return found
    raise VerificationError(
        "No backup of the control database in this store can be opened with these keys; "
        "do keys and backups belong to the same installation?"
    )


def _prove(store: Store, name: str, identity: str) -> Descriptor:
    try:
        with store.open(name) as file:
            descriptor = Descriptor.decode(file.read(DESCRIPTOR_LIMIT), identity)
    except RefusedError as error:  # not damaged: what an older one would bring back is not what the operator wants
        raise RefusedError(f"{error} Install a version that is not older than the backups, then repeat.") from error
    header = descriptor.header
    if (header.kind, header.backup_id, names.descriptor_object(descriptor.object)) != ("control", _id(name), name):
        raise VerificationError("The descriptor belongs to another backup.")
    read_dump(store, descriptor, identity, _Nowhere())
    return descriptor


def _load(platform: Platform, store: Store, descriptor: Descriptor) -> None:
    """Load the dump in one transaction and compare what came out with the manifest."""
    control = control_subject(platform)
    with (
        target_for(platform, control.server, CONTROL, control.database) as target,
        restoring(target) as archive,
    ):
        read_dump(store, descriptor, control.identity, archive)
    with open_as(platform, control.server, CONTROL, control.database) as session:
        compare(descriptor, session)


def _id(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".json")


class _Nowhere:
    def write(self, data: bytes, /) -> int:
        return len(data)
