"""Sets an S3 bucket up for backups: object lock, rules that clear up, nothing public. Idempotent.

Key copies must really go when they are deleted, so their bucket keeps no versions; the bucket of locked backups must.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ...config.stores import StoreSettings
from .credentials import read_credentials
from .objects import Patience
from .s3 import DEFAULT_REGION, Access, Bucket
from .separation import keys_url

_ABORT_AFTER = 7  # days; the collector is faster, this is for what it does not see
_NOT_THERE = {
    "NotImplemented",
    "MethodNotAllowed",
    "UnsupportedOperation",
    "InvalidRequest",
    "501",
    "405",
}  # what servers that speak only a part of S3 answer


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a bucket needs. `outcome`: made, as it was, or not offered by the provider."""

    place: str
    what: str
    outcome: str


def set_up_buckets(store: StoreSettings, credentials: Path | None) -> list[Step]:
    """Make and configure the bucket of the backups, and the one of the key copies where that is another.

    `credentials` of somebody who may do that, else those of the store. Raises `FailedError`.
    """
    access = Access(store, read_credentials(store, credentials or store.credentials), Patience())
    backups, keys = Bucket.of(access, store.url), Bucket.of(access, keys_url(store))
    steps = list(_set_up(access, backups.bucket, store.lock_days))
    if keys.bucket != backups.bucket:
        steps += _set_up(access, keys.bucket, 0)
    return steps


def key_bucket_keeps(store: StoreSettings) -> str:
    """Return why objects that are deleted from the bucket of the key copies would be kept; empty: they are not."""
    access = Access(store, read_credentials(store, store.prune_credentials or store.credentials), Patience())
    bucket = Bucket.of(access, keys_url(store)).bucket
    with access.answering("say whether it keeps versions"):
        return "versions" if access.client.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled" else ""


def _set_up(access: Access, bucket: str, lock_days: int) -> Iterator[Step]:
    with access.answering(f"set the bucket {bucket} up"):
        made = _make(access, bucket, lock=lock_days > 0)
    yield Step(bucket, "bucket", "made" if made else "as it was")
    if lock_days:
        yield _step(access, bucket, f"object lock, {lock_days} days", lambda: _lock(access.client, bucket, lock_days))
    yield _step(access, bucket, "nothing public", lambda: _close(access.client, bucket))
    yield _step(access, bucket, "rules that clear up", lambda: _clear_up(access.client, bucket, versions=lock_days > 0))


def _step(access: Access, bucket: str, what: str, work: Any) -> Step:
    from botocore.exceptions import ClientError

    with access.answering(f"set “{what}” up in the bucket {bucket}"):
        try:
            changed: bool = work()
        except ClientError as error:
            if _code(error) not in _NOT_THERE:
                raise
            return Step(bucket, what, "not offered by the provider")
    return Step(bucket, what, "made" if changed else "as it was")


def _make(access: Access, bucket: str, *, lock: bool) -> bool:
    client = access.client
    from botocore.exceptions import ClientError

    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if _code(error) not in ("404", "NoSuchBucket"):
            raise
    else:
        return False
    place = {} if access.region == DEFAULT_REGION else {"LocationConstraint": access.region}
    more = {"CreateBucketConfiguration": place} if place else {}
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=lock, **more)
    return True


def _lock(client: Any, bucket: str, days: int) -> bool:
    """Compliance: nobody can shorten it, not even the owner of the account."""
    wanted = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": days}}}
    found = _asked(lambda: client.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"])
    retention: dict[str, Any] = found.get("Rule", {}).get("DefaultRetention", {}) if found else {}
    if retention.get("Mode") == "COMPLIANCE" and int(retention.get("Days", 0)) == days:
        return False
    if client.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":  # a bucket that was there before
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=wanted)
    return True


def _close(client: Any, bucket: str) -> bool:
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    wanted = dict.fromkeys(names, True)
    found = _asked(lambda: client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"])
    if found == wanted:
        return False
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=wanted)
    return True


def _clear_up(client: Any, bucket: str, *, versions: bool) -> bool:
    """Uploads without an end; in a locked bucket, what was pruned, as soon as its lock ends."""
    rules = [_rule("uploads", AbortIncompleteMultipartUpload={"DaysAfterInitiation": _ABORT_AFTER})]
    if versions:
        rules.append(_rule("pruned", NoncurrentVersionExpiration={"NoncurrentDays": 1}))
        rules.append(_rule("marks", Expiration={"ExpiredObjectDeleteMarker": True}))
    found: list[Any] = _asked(lambda: client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]) or []
    ours = {rule["ID"] for rule in rules}
    if ours <= {rule.get("ID") for rule in found}:
        return False
    kept = [rule for rule in found if rule.get("ID") not in ours]
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": kept + rules})
    return True


def _rule(name: str, **action: Any) -> dict[str, Any]:
    return {"ID": f"strongroom-{name}", "Status": "Enabled", "Filter": {"Prefix": ""}, **action}


def _asked(ask: Any) -> Any:
    """Return what is configured; None where nothing is."""
    from botocore.exceptions import ClientError

    try:
        return ask()
    except ClientError as error:
        if _code(error).startswith(("NoSuch", "ObjectLockConfigurationNotFound")) and _code(error) != "NoSuchBucket":
            return None
        raise


def _code(error: Exception) -> str:
    return str(cast(Any, error).response["Error"]["Code"])
