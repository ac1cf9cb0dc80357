"""SQL over the workspace's settings: one JSON value for each key."""

from typing import Any, Final

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from ..tables import setting

BASE_CURRENCY: Final = "base_currency"  # three letters; totals and reimbursements are counted in it
SELF_APPROVAL: Final = "self_approval"  # true: the owner of a one-person workspace approves their own reports
DEFAULTS: Final[dict[str, Any]] = {BASE_CURRENCY: "GBP", SELF_APPROVAL: False}

_VALUE = select(setting.c.value).where(setting.c.key == bindparam("wanted"))


def value(conn: Connection, key: str) -> Any:
    """The value of `key`, or its default. Raises `KeyError` for a key that has neither."""
    row = conn.execute(_VALUE, {"wanted": key}).first()
    return DEFAULTS[key] if row is None else row[0]


def put(conn: Connection, key: str, new: Any) -> None:
    """Set `key` to `new`, which must be one of the keys that have a default."""
    if key not in DEFAULTS:
        raise KeyError(key)
    statement = insert(setting).values(key=key, value=new)
    conn.execute(statement.on_conflict_do_update(index_elements=[setting.c.key], set_={"value": new}))


def mark_once(conn: Connection, key: str, new: Any) -> Any:
    """Remember that something was done to the workspace; return None, or the mark that is there already.

    Whoever does the same at the same time waits here until the caller's transaction has ended.
    """
    statement = insert(setting).values(key=key, value=new).on_conflict_do_nothing()
    if conn.execute(statement.returning(setting.c.key)).one_or_none() is not None:
        return None
    return conn.execute(_VALUE, {"wanted": key}).scalar_one()


def mark(conn: Connection, key: str) -> Any:
    """What `mark_once` has put under `key`; None where it has not."""
    row = conn.execute(_VALUE, {"wanted": key}).first()
    return None if row is None else row[0]


def base_currency(conn: Connection) -> str:
    """The workspace's currency."""
    return value(conn, BASE_CURRENCY)
