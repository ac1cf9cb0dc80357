"""The certificate of an erasure: composed from what the steps have noted, signed, and checked again.

The signature is Ed25519 (RFC 8032) over the document without its member `signature`, as JSON with sorted keys, without
white space, in UTF-8. The key is derived from the platform's signing key, so any installation that was recovered from
this one's key store can check it; the public half stands in the certificate, for whoever has noted it elsewhere.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ...config.errors import VerificationError
from ...platform.keys import PlatformKeys
from ...platform.keys.derive import derive
from ..header import timestamp
from .records import FORMAT, Certificate, Document, read_certificate
from .remains import last_log_key_expiry, remains
from .work import Work

ALGORITHM = "Ed25519"


def compose(work: Work, titles: Mapping[str, str]) -> Certificate:
    """Return the signed certificate of a finished erasure. `titles`: what each step is called."""
    now = datetime.now(UTC)
    platform, detail = work.platform, work.detail
    expiry = last_log_key_expiry(platform, now)
    document: Document = {
        "format": FORMAT,
        "number": f"{now:%Y%m%d}-{work.tenant.id}",
        "account": detail["account"],
        "installation": platform.keys.master_id,
        "operator": work.operator,
        "requested_at": timestamp(work.requested_at),
        "finished_at": timestamp(now),
        "steps": [
            {"step": step, "title": title, "finished_at": detail["steps"].get(step, timestamp(now))}
            for step, title in titles.items()
        ],
        "databases": _sorted(detail.get("databases", {}), "server", "database"),
        "keys": _sorted(detail.get("keys", {}), "kind", "id"),
        "stores": [_store(name, objects) for name, objects in sorted(detail.get("objects", {}).items())],
        "receipts": {
            "count": len(detail.get("receipts", {})),
            "objects": [{"object": name, **facts} for name, facts in sorted(detail.get("receipts", {}).items())],
        },
        "letters": sum("removed" in facts for facts in detail.get("letters", {}).values()),
        "rows": detail.get("rows", {}),
        "remains": remains(platform, detail, now),
        "last_log_key_destroyed_at": timestamp(expiry) if expiry else None,
    }
    return Certificate({**document, "signature": _sign(document, platform.keys.platform())})


def verify(document: object, keys: PlatformKeys) -> Certificate:
    """Return the certificate if it is ours and nobody has changed it. Raises `VerificationError`."""
    certificate = read_certificate(document)
    said = certificate.document.get("signature")
    if not isinstance(said, dict) or said.get("algorithm") != ALGORITHM:  # pyright: ignore[reportUnknownMemberType]
        raise VerificationError("The certificate has no signature that this version knows.")
    content = {name: value for name, value in certificate.document.items() if name != "signature"}
    key = _private_key(keys).public_key()
    try:
        key.verify(base64.b64decode(str(said.get("value")), validate=True), _canonical(content))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    except (InvalidSignature, ValueError) as error:
        raise VerificationError("The certificate was changed, or another installation has signed it.") from error
    return certificate


def _sorted(found: Mapping[str, Document], *by: str) -> list[Document]:
    """In an order of our own: the database that keeps what was found keeps no order."""
    return sorted(found.values(), key=lambda facts: [str(facts[one]) for one in by])


def _store(name: str, objects: Mapping[str, Document]) -> Document:
    listed = [{"object": one, **facts} for one, facts in sorted(objects.items())]
    receipts = [one for one in listed if one["kind"] == "receipt"]
    return {
        "store": name,
        "objects": [one for one in listed if one["kind"] != "receipt"],
        "receipts": {"count": len(receipts), "objects": receipts},
        "bytes": sum(int(one["bytes"]) for one in listed),
    }


def _sign(document: Mapping[str, Any], keys: PlatformKeys) -> Document:
    key = _private_key(keys)
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {
        "algorithm": ALGORITHM,
        "public_key": base64.b64encode(public).decode(),
        "value": base64.b64encode(key.sign(_canonical(document))).decode(),
    }


def _private_key(keys: PlatformKeys) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(derive(keys.signing, "erasure certificate"))


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
