"""The keys first: the master key from escrow, proved against the copies of the key store that lie with the backups."""

from collections.abc import Iterator
from pathlib import Path

from ...config.errors import FailedError, NotFoundError, VerificationError
from ...config.settings import Settings
from ...platform.keys import durable
from ...platform.keys.objects import ObjectFolder
from ...platform.keys.store import MASTER_FILE, PLATFORM_OBJECT
from ...platform.keys.wrapping import MasterKey
from ..stores.contract import Store

_LARGEST = 1 << 20  # bytes of one key object


class Escrow:
    """A master key as it comes from escrow: one line of text."""

    def __init__(self, text: str, path: Path) -> None:
        """Raises `VerificationError` naming `path` if the text is no master key."""
        self.text = text.strip() + "\n"
        self.path = path
        self.key = MasterKey.parse(self.text, path)

    @classmethod
    def read(cls, path: Path) -> "Escrow":
        """Read a file, whatever its mode: it may lie on a stick. Raises `FailedError`, `VerificationError`."""
        try:
            return cls(path.read_bytes()[:_LARGEST].decode("ascii", "replace"), path)
        except OSError as error:
            raise FailedError(f"The master key {path} cannot be read: {error.strerror}.") from error


def prove(escrow: Escrow, copies: Store, where: str) -> None:
    """Raise `NotFoundError` if there are no copies, `VerificationError` unless this master key has wrapped them."""
    found = {entry.name.partition("/")[0] for entry in copies.list() if entry.name.endswith(".json")}
    if not found:
        raise NotFoundError(f"{where} holds no copies of keys; --keys names the place where they lie.")
    if escrow.key.id not in found:
        raise VerificationError(
            f"{escrow.path} is the master key {escrow.key.id}, but the keys in {where} were wrapped by "
            f"{' and '.join(sorted(found))}: it belongs to another installation."
        )
    unwrap(escrow, copies, "platform", PLATFORM_OBJECT)


def unwrap(escrow: Escrow, copies: Store, kind: str, name: str) -> dict[str, object]:
    """Return the payload of one key object. Raises `NotFoundError`, `VerificationError`."""
    path = f"{escrow.key.id}/{kind}/{name}.json"
    with copies.open(path) as file:
        return escrow.key.unwrap(kind, name, file.read(_LARGEST), Path(path))


def bring_keys(settings: Settings, escrow: Escrow, copies: Store) -> list[str]:
    """Put master key and all copies into the key store of the home; return a sentence for each damaged copy.

    Idempotent. What no service can do without is proved: raises `VerificationError` if that is damaged.
    """
    durable.make_folder(settings.keys_dir)
    settings.keys_dir.chmod(0o700)
    objects = ObjectFolder(settings.keys_dir, settings.key_copies_dir, escrow.key)
    damaged: list[str] = []
    for kind, name, path in _names(copies, escrow.key.id):
        with copies.open(path) as file:
            content = file.read(_LARGEST)
        try:
            objects.accept(kind, name, content)
        except VerificationError as error:
            if kind in ("platform", "service"):
                raise
            damaged.append(f"The key copy {path} is damaged: {error}")
    # Last: a key store with a master key in it counts as complete.
    durable.write_once(settings.keys_dir / MASTER_FILE, escrow.text.encode())
    return damaged


def _names(copies: Store, master_id: str) -> Iterator[tuple[str, str, str]]:
    for entry in copies.list(master_id):
        parts = entry.name.removesuffix(".json").split("/")
        if len(parts) == 3 and entry.name.endswith(".json"):
            yield parts[1], parts[2], entry.name
