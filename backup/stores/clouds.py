"""Google Cloud Storage and Azure, as far as obstore goes.

Uploads of killed writers are invisible there and end by themselves: Azure drops blocks that nobody commits after a
week, Google by the bucket's rule AbortIncompleteMultipartUpload, which `store init` asks for.
"""

from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import AzureStore, GCSStore, ObjectStore

from ...config.errors import CallError
from ...config.stores import StoreSettings
from .causes import answering
from .contract import StoredObject, taken
from .credentials import Credentials
from .objects import IN_FLIGHT, PART, Patience

_AZURE_KEYS = {
    "account": "account_name",
    "access_key": "account_key",
    "sas_token": "sas_key",
    "client_id": "client_id",
    "client_secret": "client_secret",
    "tenant_id": "tenant_id",
}


def google_objects(url: str, credentials: Credentials, patience: Patience) -> ObjectStore:
    """Return obstore's view of a bucket of Google's. `service_account_key` is the JSON document of the account."""
    return GCSStore(
        urlsplit(url).netloc,
        prefix=urlsplit(url).path.strip("/") or None,
        config={"service_account_key": credentials["service_account_key"]},
        client_options=cast(Any, patience.client_options()),
        retry_config=cast(Any, patience.retry_config()),
    )


def azure_objects(store: StoreSettings, url: str, credentials: Credentials, patience: Patience) -> ObjectStore:
    """Return obstore's view of a container of Azure's."""
    config = {_AZURE_KEYS[key]: value for key, value in credentials.values.items()}
    if store.endpoint:
        config["endpoint"] = store.endpoint
    return AzureStore(
        urlsplit(url).netloc,
        prefix=urlsplit(url).path.strip("/") or None,
        config=cast(Any, config),
        client_options=cast(Any, patience.client_options()),
        retry_config=cast(Any, patience.retry_config()),
    )


class StreamedUploads:
    """Uploads through obstore's writer, for providers without a way to look at those of others."""

    def __init__(self, name: str, store: ObjectStore) -> None:
        """`name` is what the settings call the store."""
        self._name = name
        self._store = store

    def put_new(self, name: str, content: bytes) -> None:
        """See `Uploads.put_new`."""
        with answering(self._name, f"take {name}", BaseError, OSError):
            try:
                obstore.put(self._store, name, content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                raise taken(name) from None

    def begin(self, name: str) -> "StreamedUpload":
        """See `Uploads.begin`."""
        return StreamedUpload(self._name, self._store, name)

    def abandoned(self) -> Iterator[StoredObject]:
        """Yield nothing: they cannot be seen."""
        return iter(())

    def delete_abandoned(self, name: str) -> bool:
        """Refuse: there are none."""
        raise CallError(f"“{name[:80]}” is no unfinished object.")


class StreamedUpload:
    """One upload. It is never ended when it fails: dropped without its last request, nothing of it can be seen."""

    def __init__(self, store: str, objects: ObjectStore, name: str) -> None:
        self._store = store
        self._objects = objects
        self._name = name
        self._file: Any = obstore.open_writer(objects, name, buffer_size=PART, max_concurrency=IN_FLIGHT)

    def add(self, part: bytes, /) -> None:
        """See `Upload.add`."""
        with answering(self._store, f"take {self._name}", BaseError, OSError):
            self._file.write(bytes(part))

    def finish(self) -> None:
        """See `Upload.finish`. Two writers of one name in the same instant are not told apart: names are unique."""
        with answering(self._store, f"take {self._name}", BaseError, OSError):
            if self._is_taken():
                raise taken(self._name)
            self._file.close()

    def abort(self) -> None:
        """See `Upload.abort`."""
        self._file = None

    def _is_taken(self) -> bool:
        try:
            obstore.head(self._objects, self._name)
        except FileNotFoundError:
            return False
        return True
