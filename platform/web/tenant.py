"""The workspace of the request: host → tenant → one connection, one transaction.

No tenant is an error, never a default. The tenant is set once, before the view runs, and cannot be changed after. The
connection is taken when first asked for; the transaction is committed when the answer is a success (status below 400)
and rolled back otherwise, so that a refused form leaves nothing half-done.
"""

import logging
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import cast

from flask import Flask, Response, current_app, g, request
from sqlalchemy import Connection, RootTransaction
from sqlalchemy.exc import DBAPIError

from ..control.platform import Platform
from ..keys.fields import FieldCipher
from ..keys.receipts import ReceiptVault
from ..mail.delivery import send_soon
from ..mail.outbox import QUEUED
from ..tenants.records import Tenant

EXTENSION = "strongroom"
log = logging.getLogger(__name__)


def platform() -> Platform:
    """The platform that this application serves."""
    return cast(Platform, current_app.extensions[EXTENSION])


def resolve() -> Tenant:
    """Find the workspace that the request's host names, and keep it for the request.

    Raises `UnknownHostError`, `TenantSuspendedError` or `UnavailableError`, as the registry does.
    """
    if "tenant" in g:
        raise RuntimeError("The workspace of a request cannot be changed.")
    g.tenant = platform().registry.resolve(request.host)
    return g.tenant


def tenant() -> Tenant:
    """The workspace of this request. Raises `RuntimeError` where there is none."""
    if "tenant" not in g:
        raise RuntimeError("This request has no workspace.")
    return g.tenant


def has_tenant() -> bool:
    """Whether a workspace was found for this request."""
    return "tenant" in g


def connection() -> Connection:
    """The request's connection to its workspace's database, inside the request's transaction."""
    if "db" not in g:
        stack = ExitStack()
        g.db_stack = stack
        g.db = stack.enter_context(platform().registry.connect(tenant()))
        g.db_transaction = g.db.begin()
    return g.db


def cipher() -> FieldCipher:
    """Seals and opens the personal columns of this workspace."""
    if "cipher" not in g:
        g.cipher = FieldCipher(platform().keys.tenant(tenant().id))
    return g.cipher


def vault() -> ReceiptVault:
    """Seals, stores and opens the receipts of this workspace."""
    if "vault" not in g:
        g.vault = ReceiptVault(platform().settings, platform().keys.tenant(tenant().id))
    return g.vault


def keep() -> None:
    """Commit the request's transaction although its answer is a refusal (4xx): a counted try must not be undone."""
    g.kept = True


def after_commit(action: Callable[[Connection], object]) -> None:
    """Run `action` in a transaction of its own, on the same connection, once the request's is committed; else never.

    What it raises is logged and not shown: the request has done what it was asked for.
    """
    g.setdefault("after_commit", []).append(action)


@contextmanager
def apart() -> Generator[Connection]:
    """A transaction of its own, once the request's has ended either way, on the same connection."""
    conn = connection()
    if not g.db_transaction.is_active:
        g.db_transaction = conn.begin()
    yield conn
    g.db_transaction.commit()
    _send_mail(conn)


def install(app: Flask) -> None:
    """End the request's transaction with the response, and give the connection back whatever happens."""

    @app.after_request
    def end_transaction(response: Response) -> Response:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        if "db" in g and g.db_transaction.is_active:
            if response.status_code < (500 if g.get("kept") else 400):
                g.db_transaction.commit()
                _send_mail(g.db)
                _run_later_actions()
            else:
                _roll_back(g.db, g.db_transaction)
        return response

    @app.teardown_request
    def give_back(_error: BaseException | None) -> None:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        db, transaction, stack = g.pop("db", None), g.pop("db_transaction", None), g.pop("db_stack", None)
        if stack is not None:
            with stack:
                if transaction is not None and transaction.is_active:
                    _roll_back(db, transaction)


def _send_mail(conn: Connection) -> None:
    """See to the messages that the transaction, which is committed now, has queued."""
    if conn.info.get(QUEUED):
        send_soon(conn, platform(), tenant())


def _roll_back(conn: Connection, transaction: RootTransaction) -> None:
    """A session that is lost has rolled back by itself: that must not hide how the request ended."""
    try:
        if not conn.invalidated:  # else what it has noted is gone with it
            conn.info.pop(QUEUED, None)
        transaction.rollback()
    except DBAPIError:
        log.info("the session of a request was lost before its roll-back", exc_info=True)
        conn.invalidate()


def _run_later_actions() -> None:
    for action in g.pop("after_commit", []):
        try:
            with g.db.begin():
                action(g.db)
        except Exception:  # whatever it is, the committed request is answered
            log.warning("something that follows a request failed", exc_info=True)
