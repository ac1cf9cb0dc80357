"""Where sealed receipts lie: a local folder, or an object store through obstore. Neither ever sees plaintext.

A name is `<tenant>/<aa>/<sha256>`; an object is written once and never changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore, from_url

from ...config.errors import FailedError, NotFoundError
from ...config.settings import Settings
from . import durable


@dataclass(frozen=True, slots=True)
class Blob:
    """One stored object."""

    name: str
    size: int  # bytes, sealed
    stored_at: datetime


class Blobs(Protocol):
    """The contract of both stores. All methods raise `FailedError` when the store does not answer."""

    def put(self, name: str, content: bytes) -> None:
        """Store the object durably; if one of that name is there, it stays."""
        ...

    def get(self, name: str) -> bytes:
        """Return the object. Raises `NotFoundError`."""
        ...

    def list(self, tenant_id: str) -> Iterator[Blob]:
        """Yield all objects of a tenant, in no order."""
        ...

    def delete(self, name: str) -> None:
        """Remove the object; nothing happens if it is not there."""
        ...


def open_blobs(settings: Settings) -> Blobs:
    """Return the store that the settings name: `receipts_url`, or the folder `receipts` of the home."""
    if settings.receipts_url:
        return RemoteBlobs(from_url(settings.receipts_url))
    return LocalBlobs(settings.receipts_dir)


class LocalBlobs:
    """Files below one folder. obstore's own local store never fsyncs, so a crash could take a receipt back."""

    def __init__(self, root: Path) -> None:
        """`root` is made when the first object is stored."""
        self._root = root

    def put(self, name: str, content: bytes) -> None:
        """See `Blobs.put`."""
        path = self._root / name
        if not path.parent.exists():
            for folder in (self._root, path.parent.parent, path.parent):
                durable.make_folder(folder)
        durable.write_once(path, content)

    def get(self, name: str) -> bytes:
        """See `Blobs.get`."""
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError(f"The receipt object {name} is missing from the receipt store.") from error
        except OSError as error:
            raise FailedError(f"The receipt object {name} cannot be read: {error.strerror}.") from error

    def list(self, tenant_id: str) -> Iterator[Blob]:
        """See `Blobs.list`. What a killed writer left counts as an object, so that a collector removes it."""
        for path in (self._root / tenant_id).glob("??/*"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            name = path.relative_to(self._root).as_posix()
            yield Blob(name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def delete(self, name: str) -> None:
        """See `Blobs.delete`."""
        path = self._root / name
        if path.parent.exists():
            durable.remove(path)


class RemoteBlobs:
    """Objects in S3, Google Cloud Storage or Azure."""

    def __init__(self, store: ObjectStore) -> None:
        """`store` carries bucket, prefix and credentials."""
        self._store = store

    def put(self, name: str, content: bytes) -> None:
        """See `Blobs.put`."""
        try:
            obstore.put(self._store, name, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return
        except BaseError as error:
            raise FailedError(f"The receipt store did not take {name}.") from error

    def get(self, name: str) -> bytes:
        """See `Blobs.get`."""
        try:
            return bytes(obstore.get(self._store, name).bytes())
        except FileNotFoundError as error:
            raise NotFoundError(f"The receipt object {name} is missing from the receipt store.") from error
        except BaseError as error:
            raise FailedError(f"The receipt store did not give {name}.") from error

    def list(self, tenant_id: str) -> Iterator[Blob]:
        """See `Blobs.list`."""
        try:
            for page in obstore.list(self._store, prefix=tenant_id):  # pyright: ignore[reportUnknownMemberType]  # Arrow
                for found in page:
                    yield Blob(found["path"], found["size"], found["last_modified"])
        except BaseError as error:
            raise FailedError("The receipt store did not list its objects.") from error

    def delete(self, name: str) -> None:
        """See `Blobs.delete`."""
        try:
            obstore.delete(self._store, name)
        except FileNotFoundError:
            return
        except BaseError as error:
            raise FailedError(f"The receipt store did not delete {name}.") from error
