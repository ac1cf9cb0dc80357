"""Members with second factors: an authenticator app by pyotp, recovery codes, and a passkey made of software."""

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pyotp
from account_holders import PRIVATE, SESSION, Person, Window
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pyotp.totp import TOTP
from sqlalchemy import insert, select, update
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, encode_cbor
from werkzeug.test import TestResponse

from strongroom.platform.portal.factors import codes
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import factors

SECOND, CEREMONY = "__Host-second", "__Host-passkey"
_PRESENT, _VERIFIED, _ATTESTED = 0x01, 0x04, 0x40


class Clock(datetime):
    """A clock that stands still; put it in the place of a module's `datetime`."""

    at = datetime(2030, 3, 1, 12, tzinfo=UTC)

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return cls.at.astimezone(tz)


def enrol_app(person: Person) -> TOTP:
    """Give a member a confirmed authenticator app."""
    row_id, secret = new_uuid7(), pyotp.random_base32()
    sealed = person.workspace.cipher.seal(tables.totp.c.secret, row_id, secret)
    row = {"id": row_id, "member_id": person.id, "secret": sealed, "confirmed_at": datetime.now(UTC)}
    with person.workspace.database() as conn:
        conn.execute(insert(tables.totp), row)
    return TOTP(secret)


def give_codes(person: Person) -> list[str]:
    """Give a member ten recovery codes."""
    made = codes.new_codes()
    rows = [(new_uuid7(), codes.hash_of(person.id, codes.read_code(one) or "")) for one in made]
    with person.workspace.database() as conn:
        factors.replace_codes(conn, person.id, rows)
    return made


def half_in(person: Person, address: str = PRIVATE) -> Window:
    """A browser in which the right password was given, and the second factor is still to come."""
    window = Window.open(person.workspace, address)
    answer = window.try_to_sign_in(person.email)
    assert answer.location == "/sign-in/second", answer.text
    return window


def give_code(window: Window, code: str) -> TestResponse:
    """Send a code as the second factor."""
    return window.post("/sign-in/second", {"code": code}, form="/sign-in")


def is_in(window: Window) -> bool:
    """Whether the browser has a session."""
    return window.cookie(SESSION) is not None and window.status() == 200


def grow_old(person: Person, by: timedelta) -> None:
    """Let the member's sessions have been begun, and proved, so much earlier."""
    mine = tables.session.c.member_id == person.id
    with person.workspace.database() as conn:
        began = datetime.now(UTC) - by
        conn.execute(update(tables.session).where(mine).values(created_at=began, stepped_up_at=None))


def events(person: Person, action: str) -> list[dict[str, Any]]:
    """What the audit log says of the member under this action, oldest first."""
    table = tables.audit_event.c
    found = select(table.detail).where(table.actor_id == person.id, table.action == action).order_by(table.id)
    with person.workspace.database() as conn:
        return list(conn.scalars(found))


@dataclass
class SoftPasskey:
    """An authenticator: a P-256 key, its own counter, and no scruples about what it is told to sign."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    count: int = 0
    handle: bytes = b""

    def create(self, options: dict[str, Any], origin: str, *, verified: bool = True) -> str:
        """What a browser sends about a new passkey."""
        self.handle = base64url_to_bytes(options["user"]["id"])
        flags = _PRESENT | _ATTESTED | (_VERIFIED if verified else 0)
        about = bytes(16) + len(self.credential).to_bytes(2, "big") + self.credential + self._cose()
        data = self._data(options["rp"]["id"], flags) + about
        attestation = encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        client = _client_data("webauthn.create", options["challenge"], origin)
        answer = {"clientDataJSON": client, "attestationObject": attestation}
        return self._answer({name: bytes_to_base64url(value) for name, value in answer.items()})

    def sign(self, options: dict[str, Any], origin: str, *, verified: bool = True, counts: bool = True) -> str:
        """What a browser sends of a passkey that is used."""
        self.count += counts
        data = self._data(options["rpId"], _PRESENT | (_VERIFIED if verified else 0))
        client = _client_data("webauthn.get", options["challenge"], origin)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        answer = {"clientDataJSON": client, "authenticatorData": data, "signature": signature}
        return self._answer(
            {name: bytes_to_base64url(value) for name, value in (answer | {"userHandle": self.handle}).items()}
        )

    def _answer(self, response: dict[str, str]) -> str:
        name = bytes_to_base64url(self.credential)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})

    def _data(self, rp_id: str, flags: int) -> bytes:
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _cose(self) -> bytes:
        """The public key in COSE form: EC2, ES256, P-256 (RFC 9053)."""
        point = self.key.public_key().public_numbers()
        return encode_cbor({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")})


def origin_of(person: Person) -> str:
    """What a browser says where it is."""
    return person.workspace.platform.settings.workspace_url(person.workspace.tenant.slug)


def options(window: Window, path: str, form: str = "/sign-in") -> dict[str, Any]:
    """What the server asks of a passkey."""
    answer = window.post(path, form=form)
    assert answer.status_code == 200, (answer.status_code, answer.text)
    return answer.get_json()


def add_passkey(person: Person, window: Window, *, verified: bool = True) -> SoftPasskey:
    """Enrol a passkey over the pages, as a browser does."""
    passkey, page = SoftPasskey(), "/settings/security/passkeys/new"
    asked = options(window, "/settings/security/passkeys/options", page)
    answer = passkey.create(asked, origin_of(person), verified=verified)
    done = window.post("/settings/security/passkeys", {"credential": answer, "name": "Soft"}, form=page)
    assert done.status_code in (200, 303), done.text
    return passkey


def passkey_row(person: Person) -> UUID:
    """The id of the member's only passkey."""
    (row,) = person.rows(tables.passkey)
    return row.id


def _client_data(kind: str, challenge: str, origin: str) -> bytes:
    return json.dumps({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}).encode()
