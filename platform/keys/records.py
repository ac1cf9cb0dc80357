"""What the key store hands out, and how each record turns into a payload and back."""

import base64
import os
from dataclasses import dataclass, field, replace
from typing import Any

import pyrage

from .credentials import DatabaseCredential
from .derive import KEY_BYTES

_NEXT = "next"


@dataclass(frozen=True, slots=True)
class TenantKeys:
    """The secrets of one tenant. Destroying them destroys every copy of its data."""

    tenant_id: str
    data_key_id: str  # 8 hexadecimal digits, written in front of everything that the data key seals
    data_key: bytes = field(repr=False)
    blind_key: bytes = field(repr=False)
    backup_identity: str = field(repr=False)  # age private key: opens backups
    backup_recipient: str  # age public key: makes them

    @classmethod
    def generate(cls, tenant_id: str) -> "TenantKeys":
        """Make fresh, unrelated secrets."""
        identity = pyrage.x25519.Identity.generate()
        return cls(
            tenant_id=tenant_id,
            data_key_id=os.urandom(4).hex(),
            data_key=os.urandom(KEY_BYTES),
            blind_key=os.urandom(KEY_BYTES),
            backup_identity=str(identity),
            backup_recipient=str(identity.to_public()),
        )

    def payload(self) -> dict[str, Any]:
        """Return what the key store wraps."""
        return {
            "data_key_id": self.data_key_id,
            "data_key": _text(self.data_key),
            "blind_key": _text(self.blind_key),
            "backup_identity": self.backup_identity,
        }

    @classmethod
    def load(cls, tenant_id: str, payload: dict[str, Any]) -> "TenantKeys":
        """Undo `payload`."""
        return cls(
            tenant_id=tenant_id,
            data_key_id=payload["data_key_id"],
            data_key=base64.b64decode(payload["data_key"]),
            blind_key=base64.b64decode(payload["blind_key"]),
            backup_identity=payload["backup_identity"],
            backup_recipient=_recipient(payload["backup_identity"]),
        )


@dataclass(frozen=True, slots=True)
class PlatformKeys:
    """Secrets of the installation that belong to no tenant."""

    pepper: bytes = field(repr=False)  # of new password hashes
    signing: bytes = field(repr=False)
    backup_identity: str = field(repr=False)  # age private key of the control database's backups
    backup_recipient: str
    earlier_peppers: tuple[bytes, ...] = field(default=(), repr=False)  # of hashes not renewed yet, oldest first

    @classmethod
    def generate(cls) -> "PlatformKeys":
        """Make fresh, unrelated secrets."""
        identity = pyrage.x25519.Identity.generate()
        return cls(
            pepper=os.urandom(KEY_BYTES),
            signing=os.urandom(KEY_BYTES),
            backup_identity=str(identity),
            backup_recipient=str(identity.to_public()),
        )

    def payload(self) -> dict[str, Any]:
        """Return what the key store wraps."""
        return {
            "pepper": _text(self.pepper),
            "signing": _text(self.signing),
            "backup_identity": self.backup_identity,
            "earlier_peppers": [_text(one) for one in self.earlier_peppers],
        }

    @classmethod
    def load(cls, payload: dict[str, Any]) -> "PlatformKeys":
        """Undo `payload`."""
        return cls(
            pepper=base64.b64decode(payload["pepper"]),
            signing=base64.b64decode(payload["signing"]),
            backup_identity=payload["backup_identity"],
            backup_recipient=_recipient(payload["backup_identity"]),
            earlier_peppers=tuple(base64.b64decode(one) for one in payload.get("earlier_peppers", ())),
        )

    def with_new_pepper(self) -> "PlatformKeys":
        """The same with a fresh pepper; the present one becomes the latest of the earlier ones."""
        return self.with_pepper(os.urandom(KEY_BYTES))

    def with_pepper(self, pepper: bytes) -> "PlatformKeys":
        """The same with this one as the present pepper."""
        return replace(self, pepper=pepper, earlier_peppers=(*self.earlier_peppers, self.pepper))

    def without_pepper(self, pepper: bytes) -> "PlatformKeys":
        """The same without one of the earlier peppers."""
        return replace(self, earlier_peppers=tuple(one for one in self.earlier_peppers if one != pepper))


@dataclass(frozen=True, slots=True)
class ArchiveKeys:
    """What opens the base backups and the log of one UTC day. Destroying them destroys that day of the archive."""

    day: str  # YYYYMMDD
    identity: str = field(repr=False)  # age private key
    recipient: str

    @classmethod
    def generate(cls, day: str) -> "ArchiveKeys":
        """Make a fresh secret."""
        identity = pyrage.x25519.Identity.generate()
        return cls(day, str(identity), str(identity.to_public()))

    def payload(self) -> dict[str, Any]:
        """Return what the key store wraps."""
        return {"identity": self.identity}

    @classmethod
    def load(cls, day: str, payload: dict[str, Any]) -> "ArchiveKeys":
        """Undo `payload`."""
        return cls(day, payload["identity"], _recipient(payload["identity"]))


def credential_payload(credential: DatabaseCredential) -> dict[str, Any]:
    """Return what the key store wraps of a database credential."""
    return {
        "role": credential.role,
        "scram_client_key": credential.scram_client_key,
        "scram_server_key": credential.scram_server_key,
        "verifier": credential.verifier,
    }


def load_credential(payload: dict[str, Any]) -> DatabaseCredential:
    """Undo `credential_payload`."""
    return DatabaseCredential(**{key: value for key, value in payload.items() if key != _NEXT})


def with_next(payload: dict[str, Any], credential: DatabaseCredential) -> dict[str, Any]:
    """Return the payload of a login that is about to be replaced by `credential`."""
    return payload | {_NEXT: credential_payload(credential)}


def next_credential(payload: dict[str, Any]) -> DatabaseCredential | None:
    """Return what a login is about to be replaced by, where it is."""
    return load_credential(payload[_NEXT]) if _NEXT in payload else None


def _recipient(identity: str) -> str:
    return str(pyrage.x25519.Identity.from_str(identity).to_public())


def _text(secret: bytes) -> str:
    return base64.b64encode(secret).decode()
