"""S3 and what speaks its protocol: obstore for reading and removing, boto3 for writing and for setting a bucket up.

obstore can neither abort an upload, nor list those of killed writers, nor end one under the condition that the name is
still free (docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html). Nor does it send the header
`x-amz-sdk-checksum-algorithm`, without which a bucket with object lock takes nothing.
"""

import threading
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from obstore.store import S3Store

from ...config.errors import CallError
from ...config.stores import StoreSettings
from .causes import answering
from .contract import StoredObject, taken
from .credentials import Credentials
from .objects import IN_FLIGHT, BucketStore, Patience

DEFAULT_REGION = "us-east-1"
_MARK = "?upload="  # between the name of an unfinished object and the provider's id of its upload
_LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


_MAKING = threading.Lock()  # making a client is not safe for threads, using it is


class Access:
    """How a provider is reached, and as whom. Made once for all buckets of a store."""

    def __init__(self, store: StoreSettings, credentials: Credentials, patience: Patience) -> None:
        """Raises `CallError` for an endpoint without TLS, unless it is on this machine."""
        self._endpoint = store.endpoint or credentials.get("endpoint")
        endpoint = urlsplit(self._endpoint)
        if endpoint.scheme == "http" and endpoint.hostname not in _LOCAL_HOSTS:
            raise CallError(f"The endpoint of the backup store “{store.name}” must begin with https.")
        self.name = store.name
        self.region = credentials.get("region", DEFAULT_REGION)
        self._credentials = credentials
        self._patience = patience

    def objects(self, bucket: str, folder: str) -> S3Store:
        """Return obstore's view of a folder of a bucket."""
        options = self._patience.client_options()
        if self._endpoint.startswith("http://"):
            options["allow_http"] = True
        if self._authority:
            options["root_certificate"] = self._authority.read_bytes()
        config = {
            "access_key_id": self._credentials["access_key_id"],
            "secret_access_key": self._credentials["secret_access_key"],
            "session_token": self._credentials.get("session_token"),
            "region": self.region,
            "endpoint": self._endpoint,
        }
        return S3Store(
            bucket,
            prefix=folder or None,
            config=cast(Any, {key: value for key, value in config.items() if value}),
            client_options=cast(Any, options),
            retry_config=cast(Any, self._patience.retry_config()),
        )

    @property
    def client(self) -> Any:
        """boto3's view, made when it is first needed."""
        with _MAKING:
            return self._client

    def answering(self, doing: str) -> Any:
        """Return a block that turns boto3's errors into ours."""
        from botocore.exceptions import BotoCoreError, ClientError

        return answering(self.name, doing, BotoCoreError, ClientError)

    @cached_property
    def _client(self) -> Any:
        from botocore.config import Config

        return _session().client(
            "s3",
            aws_access_key_id=self._credentials["access_key_id"],
            aws_secret_access_key=self._credentials["secret_access_key"],
            aws_session_token=self._credentials.get("session_token") or None,
            region_name=self.region,
            endpoint_url=self._endpoint or None,
            verify=str(self._authority) if self._authority else None,
            config=Config(
                connect_timeout=self._patience.connect,
                read_timeout=self._patience.silence,
                retries={"total_max_attempts": self._patience.retries + 1, "mode": "standard"},
                max_pool_connections=32,
                s3={"addressing_style": "path"} if self._endpoint else None,
            ),
        )

    @cached_property
    def _authority(self) -> Path | None:
        found = self._credentials.get("ca_certificate")
        return self._credentials.path.parent / found if found else None


@dataclass(frozen=True, slots=True)
class Bucket:
    """A folder of a bucket; no slashes at its ends."""

    access: Access
    bucket: str
    folder: str

    @classmethod
    def of(cls, access: Access, url: str) -> "Bucket":
        """Return the one that a URL names."""
        return cls(access, urlsplit(url).netloc, urlsplit(url).path.strip("/"))

    def store(self) -> BucketStore:
        """Return the store in it."""
        return BucketStore(self.access.name, self.access.objects(self.bucket, self.folder), S3Uploads(self))

    def place(self, name: str) -> dict[str, str]:
        """Return what boto3 calls the place of an object."""
        return {"Bucket": self.bucket, "Key": "/".join(filter(None, (self.folder, name)))}


class S3Uploads:
    """How objects get into a bucket. What a killed writer leaves is listed; the bucket's own rule aborts it after days.

    Every request carries a checksum of what it brings, which S3 compares.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def put_new(self, name: str, content: bytes) -> None:
        """See `Uploads.put_new`."""
        access, place = self._bucket.access, self._bucket.place(name)
        with access.answering(f"take {name}"), _unless_taken(name):
            access.client.put_object(**place, Body=content, IfNoneMatch="*", ChecksumAlgorithm="SHA256")

    def begin(self, name: str) -> "S3Upload":
        """See `Uploads.begin`."""
        return S3Upload(self._bucket, name)

    def abandoned(self) -> Iterator[StoredObject]:
        """See `Uploads.abandoned`. What has arrived of them is not known: their size is 0."""
        access, folder = self._bucket.access, self._bucket.place("")["Key"]
        folder = f"{folder}/" if folder else ""
        with access.answering("list unfinished uploads"):
            pages = access.client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self._bucket.bucket, Prefix=folder):
                for found in page.get("Uploads", []):
                    name = f"{found['Key'].removeprefix(folder)}{_MARK}{found['UploadId']}"
                    yield StoredObject(name, 0, found["Initiated"])

    def delete_abandoned(self, name: str) -> bool:
        """See `Uploads.delete_abandoned`."""
        key, mark, upload = name.partition(_MARK)
        if not mark:
            raise CallError(f"“{name[:80]}” is no unfinished object.")
        access = self._bucket.access
        with access.answering("end an unfinished upload"):
            try:
                access.client.abort_multipart_upload(**self._bucket.place(key), UploadId=upload)
            except access.client.exceptions.NoSuchUpload:
                return False
        return True


class S3Upload:
    """One upload; its parts go out in threads, at most `IN_FLIGHT` at a time."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._access = bucket.access
        self._name = name
        self._place = bucket.place(name)
        with self._access.answering(f"take {name}"):
            self._place["UploadId"] = self._access.client.create_multipart_upload(**self._place)["UploadId"]
        self._pool = ThreadPoolExecutor(IN_FLIGHT, "backup-part")
        self._parts: list[Future[dict[str, Any]]] = []

    def add(self, part: bytes, /) -> None:
        """See `Upload.add`. Raises the error of an earlier part."""
        number = len(self._parts) + 1
        if number > IN_FLIGHT:
            self._parts[number - IN_FLIGHT - 1].result()
        self._parts.append(self._pool.submit(self._send, number, part))

    def finish(self) -> None:
        """See `Upload.finish`."""
        parts = [part.result() for part in self._parts]
        self._pool.shutdown()
        with self._access.answering(f"take {self._name}"), _unless_taken(self._name):
            self._access.client.complete_multipart_upload(
                **self._place, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )

    def abort(self) -> None:
        """See `Upload.abort`."""
        self._pool.shutdown(cancel_futures=True)
        with self._access.answering("end an unfinished upload"):
            self._access.client.abort_multipart_upload(**self._place)

    def _send(self, number: int, part: bytes) -> dict[str, Any]:
        with self._access.answering(f"take {self._name}"):
            answer = self._access.client.upload_part(**self._place, PartNumber=number, Body=part)
        sums = {key: value for key, value in answer.items() if key.startswith("Checksum")}
        return {"PartNumber": number, "ETag": answer["ETag"]} | sums


@cache
def _session() -> Any:
    """Return one session for all clients: it reads the description of S3 once, which takes a while."""
    import boto3

    return cast(Any, boto3).session.Session()


@contextmanager
def _unless_taken(name: str) -> Generator[None]:
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if cast(Any, error).response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"):
            raise taken(name) from None
        raise
