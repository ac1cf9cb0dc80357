"""A POST that is repeated with the same `Idempotency-Key` is carried out once, and answered with the first answer.

After the IETF's draft “The Idempotency-Key HTTP Header Field” (draft-ietf-httpapi-idempotency-key-header). A key counts
for one token and a day. The answer is kept in the transaction of the change, so that there is never one without the
other; what failed has changed nothing, and is not kept. While a request is under way, its key is locked in the
database, whichever process has it.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from flask import Flask, Response, g, request
from werkzeug.exceptions import Conflict

from ...config.errors import CallError
from ...tenant_schema import tables
from ...tenant_schema.ids import new_uuid7
from ...tenant_schema.queries import idempotency as queries
from ..web import tenant
from .gate import token

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
LONGEST: Final = 255
KEPT_FOR: Final = timedelta(hours=24)
KEPT_HEADERS: Final = ("Content-Type", "Location", "ETag")


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request with a key: both as hashes."""

    token_id: UUID
    key: bytes
    content: bytes

    @property
    def lock(self) -> int:
        """What stands for the key among the database's locks."""
        return int.from_bytes(hashlib.sha256(self.token_id.bytes + self.key).digest()[:8], signed=True)


class InFlight(Conflict):
    """Raised when a request with the same key is being carried out."""

    retry_after = 1  # seconds


def hashed(key: str) -> bytes:
    """What the database knows of a key."""
    return hashlib.sha256(key.encode()).digest()


def install(app: Flask) -> None:
    """Answer repeated requests of `app`. After the gate, and after `tenant`: Flask ends a request in reverse order."""

    @app.before_request
    def replay() -> Response | None:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        if request.method != "POST" or HEADER not in request.headers or "api_token" not in g:
            return None
        keyed = _read()
        conn = tenant.connection()
        if not queries.try_lock(conn, keyed.lock):
            raise InFlight("A request with this idempotency key is being carried out; repeat it in a moment.")
        found = queries.kept(conn, keyed.token_id, keyed.key, datetime.now(UTC) - KEPT_FOR)
        if found is None:
            g.keyed_request = keyed
            return None
        if found.request_hash != keyed.content:
            raise CallError("This idempotency key was used for another request; use a new one.", HEADER)
        return _opened(found)

    @app.after_request
    def keep(response: Response) -> Response:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        keyed: KeyedRequest | None = g.pop("keyed_request", None)
        if keyed is not None and response.status_code < 400:
            _keep(keyed, response)
        return response


def _read() -> KeyedRequest:
    key = request.headers[HEADER]
    if not 1 <= len(key) <= LONGEST or not key.isascii() or not key.isprintable():
        raise CallError(f"An idempotency key has 1 to {LONGEST} printable ASCII characters.", HEADER)
    return KeyedRequest(token().id, hashed(key), _content_hash())


def _content_hash() -> bytes:
    """What makes the request the same: method, address and body. Of a form its parts, whose boundary may differ."""
    if request.mimetype != "multipart/form-data":
        parts: list[Any] = [hashlib.sha256(request.get_data()).hexdigest()]
    else:
        parts = [sorted(request.form.items(multi=True))]
        for name, file in sorted(request.files.items(multi=True)):
            parts.append([name, file.filename, hashlib.sha256(file.stream.read()).hexdigest()])
            file.stream.seek(0)
    address = [request.method, request.path, request.query_string.decode("latin-1")]
    return hashlib.sha256(json.dumps([*address, *parts]).encode()).digest()


def _keep(keyed: KeyedRequest, response: Response) -> None:
    row_id = new_uuid7()
    kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    envelope = json.dumps({"headers": kept, "body": response.get_data(as_text=True)})
    queries.keep(
        tenant.connection(),
        id=row_id,
        token_id=keyed.token_id,
        key_hash=keyed.key,
        request_hash=keyed.content,
        status=response.status_code,
        body=tenant.cipher().seal(tables.idempotency_key.c.body, row_id, envelope),
    )


def _opened(found: queries.KeptAnswer) -> Response:
    envelope = json.loads(tenant.cipher().open(tables.idempotency_key.c.body, found.id, found.body))
    return Response(envelope["body"], found.status, {**envelope["headers"], REPLAYED: "true"})
