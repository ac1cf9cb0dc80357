"""Letting nobody in any more: no request, no job, no writer of copies; and the letters that were written to files."""

import logging
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import psycopg

from ...config.errors import BusyError, FailedError, StrongroomError
from ...platform.servers import queries as servers
from ...platform.servers.records import Server
from ...platform.tenants.records import Placement
from ...provisioning import database
from ...provisioning.lifecycle import wait_until_noticed
from ...provisioning.names import BACKUP, Names
from ...provisioning.sessions import open_as, provisioner
from .. import keycopies
from ..writing import nobody_writes
from .work import Work

_logger = logging.getLogger(__name__)


def put_up_tombstone(work: Work) -> None:
    """From here on nothing gets keys under the account's id, whatever an older control database says."""
    work.platform.keys.bury(work.tenant.id, work.requested_at)
    keycopies.publish(work.platform, "erased", work.tenant.id)


def close(work: Work) -> None:
    """End every connection in every process, and wait for those who write copies; each database lets nobody in."""
    wait_until_noticed(work.platform, work.tenant)
    for placement in work.left():
        server = _server(work, placement)
        names = Names(placement.id)
        with provisioner(work.platform, server) as session:
            if not database.exists(session, names.database):
                continue
            database.close_to_tenant(session, names)
            _remember_letters(work, server, names)
            database.fence(session, names)
    try:
        with nobody_writes(work.platform, work.tenant.id):
            pass  # whoever comes later finds the account erased
    except BusyError as error:  # not refused: it has begun, and the worker goes on with it
        raise FailedError(str(error)) from error
    _remove_letters(work)


def _server(work: Work, placement: Placement) -> Server:
    with work.platform.control.connect() as conn:
        return servers.by_name(conn, placement.server)


def _remember_letters(work: Work, server: Server, names: Names) -> None:
    """Note which letters the workspace has sent; a database that cannot be read any more keeps nothing from ending."""
    try:
        with open_as(work.platform, server, BACKUP, names.database) as session:
            ids = [str(row[0]) for row in session.execute("SELECT id FROM app.outbox")]
    except (StrongroomError, psycopg.Error) as error:
        _logger.info("The letters of %s are not listed: %s", names.database, error)
        return
    work.note("letters", {one: {} for one in ids})


def _remove_letters(work: Work) -> None:
    """Remove the account's letters from the outbox folder: by their ids, and by the address that stands in them."""
    folder = work.platform.settings.outbox_dir
    known = work.detail.get("letters", {})
    host = f"//{work.tenant.slug}.{work.platform.settings.base_domain}"
    found = [path for path in folder.glob("*.eml") if path.stem in known or host in _text_of(path)]
    work.note("letters", {path.stem: {"removed": True} for path in found})
    for path in found:
        path.unlink(missing_ok=True)


def _text_of(path: Path) -> str:
    try:
        letter = message_from_bytes(path.read_bytes(), EmailMessage, policy=policy.default)
        body = letter.get_body(("plain",))
        return str(body.get_content()) if body is not None else ""
    except (OSError, LookupError, ValueError):
        return ""
