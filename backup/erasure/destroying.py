"""What an erasure destroys, kind by kind: databases with their logins, keys, receipts, rows.

Each step notes what it is about to destroy, destroys it, and looks whether it is gone. Each may be repeated.
"""

from ...config.errors import FailedError
from ...platform.keys.blobs import open_blobs
from ...platform.keys.store import TOMBSTONES
from ...platform.tenants.records import Placement
from ...provisioning.placements import drop_placement
from .. import keycopies
from . import queries
from .records import Document
from .work import Work, now_text


def drop_databases(work: Work) -> None:
    """Drop every database of the account on every server, with its roles and its login."""
    left = work.left()
    facts = {one.id: _facts(one) for one in left}
    known = work.note("databases", facts)
    for placement in left:
        drop_placement(work.platform, placement.id)
    work.note("databases", {pid: {"dropped_at": now_text()} for pid in known if "dropped_at" not in known[pid]})


def _facts(one: Placement) -> Document:
    roles = [one.database, one.owner_role]
    return {"database": one.database, "roles": roles, "server": one.server, "was": one.state.value}


def destroy_keys(work: Work) -> None:
    """Destroy the account's keys, and the logins of its databases, in the key store and in all its copies."""
    keys, logins = work.platform.keys, [one.id for one in work.placements()]
    owners = [work.tenant.id, *work.half_made()]
    wanted = [*(("tenant", one) for one in owners), *(("placement", one) for one in logins)]
    work.note("keys", {f"{kind}/{name}": {"kind": kind, "id": name} for kind, name in wanted})
    keycopies.publish(work.platform, TOMBSTONES, work.tenant.id)  # a recovery from any store must find it
    for owner in owners:
        keys.destroy_tenant(owner)
    for login in logins:
        keys.destroy_placement(login)
    keys.forget()
    for kind, name in wanted:
        keycopies.destroy(work.platform, kind, name)
        _note_gone(work, kind, name)


def _note_gone(work: Work, kind: str, name: str) -> None:
    """Raise `FailedError` if a place still has the object."""
    settings = work.platform.settings
    places = work.platform.keys.places(kind, name)
    if left := [path for path in places if path.exists()]:
        raise FailedError(f"The key object {left[0]} is still there after it was destroyed.")
    stores = [f"store “{one.name}”" for one in settings.backup_stores if not keycopies.is_own(settings, one)]
    facts = {"places": ["key store", "second copy", *stores], "destroyed_at": now_text()}
    if "destroyed_at" not in work.detail["keys"][f"{kind}/{name}"]:
        work.note("keys", {f"{kind}/{name}": facts})


def delete_receipts(work: Work) -> None:
    """Delete the account's sealed receipts in the receipt store."""
    blobs = open_blobs(work.platform.settings)
    for owner in (work.tenant.id, *work.half_made()):
        found = list(blobs.list(owner))
        work.note("receipts", {one.name: {"bytes": one.size} for one in found})
        for one in found:
            blobs.delete(one.name)
        if any(True for _ in blobs.list(owner)):
            raise FailedError("The receipt store still has receipts of the account; repeat the command.")
    work.note("receipts", {})


def remove_rows(work: Work) -> None:
    """Remove what the control database knows beside the account's id and its certificate."""
    with work.platform.control.begin() as conn:
        removed = queries.remove_rows(conn, work.tenant.id, work.tenant.slug)
        copies = queries.copied_into(conn, work.tenant.id)
    before = work.detail.get("rows", {})
    work.note("rows", {name: before.get(name, 0) + count for name, count in removed.items()})
    work.note("copied_into", {one: {} for one in copies})
