"""SQL over the answers that are kept under a caller's key, so that a repeated request is not carried out twice."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Connection, bindparam, delete, func, select
from sqlalchemy import insert as insert_into

from ..tables import idempotency_key


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer. `body` is sealed for its row."""

    id: UUID
    request_hash: bytes
    status: int
    body: bytes


_K = idempotency_key.c
_TRY_LOCK = select(func.pg_try_advisory_xact_lock(bindparam("number", type_=BigInteger)))
_KEPT = select(_K.id, _K.request_hash, _K.status, _K.body).where(
    _K.api_token_id == bindparam("token_id"), _K.key_hash == bindparam("the_key"), _K.created_at > bindparam("since")
)
_FORGET_ONE = delete(idempotency_key).where(
    _K.api_token_id == bindparam("token_id"), _K.key_hash == bindparam("the_key")
)
_FORGET_OLD = delete(idempotency_key).where(_K.created_at <= bindparam("before"))


def try_lock(conn: Connection, number: int) -> bool:
    """Take the lock `number` (64 bits, signed) until the transaction ends; False if another one has it."""
    return bool(conn.execute(_TRY_LOCK, {"number": number}).scalar_one())


def kept(conn: Connection, token_id: UUID, key_hash: bytes, since: datetime) -> KeptAnswer | None:
    """The answer that this token was given under this key after `since`."""
    row = conn.execute(_KEPT, {"token_id": token_id, "the_key": key_hash, "since": since}).one_or_none()
    return None if row is None else KeptAnswer(*row)


def keep(
    conn: Connection,
    *,
    id: UUID,  # noqa: A002  # the column's name
    token_id: UUID,
    key_hash: bytes,
    request_hash: bytes,
    status: int,
    body: bytes,
) -> None:
    """Keep an answer, in the place of an older one under the same key. `body` is sealed."""
    conn.execute(_FORGET_ONE, {"token_id": token_id, "the_key": key_hash})
    row = {
        "id": id,
        "api_token_id": token_id,
        "key_hash": key_hash,
        "request_hash": request_hash,
        "status": status,
        "body": body,
    }
    conn.execute(insert_into(idempotency_key), row)


def forget_before(conn: Connection, before: datetime) -> int:
    """Remove the answers that were kept at `before` or earlier; return how many."""
    return conn.execute(_FORGET_OLD, {"before": before}).rowcount
