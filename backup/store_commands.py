"""The operator's commands around backup stores. They parse, call, and print; the work is elsewhere."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..config.errors import StrongroomError, VerificationError
from ..config.settings import Settings
from ..config.stores import StoreSettings
from ..platform.console.commands import Group, pass_invocation
from ..platform.console.invocation import Invocation
from ..platform.metrics.queries import store_copies
from ..platform.metrics.records import StoreCopies
from ..provisioning.opening import open_home
from .stores.initialising import set_up
from .stores.opening import described, open_store
from .stores.probing import probe
from .stores.separation import check_separate

_LISTED = {
    "name": "STORE",
    "kind": "KIND",
    "url": "URL",
    "region": "REGION",
    "reachable": "REACHABLE",
    "backups": "BACKUPS",
    "pending": "PENDING",
    "oldest_pending_seconds": "OLDEST (S)",
    "lock_days": "LOCK (D)",
    "failure": "FAILURE",
}


@click.group(cls=Group)
def store() -> None:
    """Backup stores: list, check, init."""


@store.command(name="list", example="strongroom store list --json")
@pass_invocation
def list_(invocation: Invocation) -> None:
    """List the backup stores of the settings: does each answer, what does it hold, what does it still wait for.

    The first one is where backups are made.
    """
    settings = invocation.settings
    with open_home(settings) as platform, platform.control.connect() as conn:
        copies = {one.store: one for one in store_copies(conn)}
    with ThreadPoolExecutor(8, "store") as pool:
        failures = list(pool.map(partial(_failure, settings), settings.backup_stores))
    rows = [
        _row(one, copies.get(one.name), failure) for one, failure in zip(settings.backup_stores, failures, strict=True)
    ]
    invocation.output.table(rows, _LISTED, "")


@store.command(example="strongroom store check london")
@click.argument("name", required=False)
@pass_invocation
def check(invocation: Invocation, name: str | None) -> None:
    """Try out what a store's credentials may do: write, read, list, never overwrite, delete.

    Leaves nothing behind, except for what an object lock keeps. Exit code 5 if a right is missing or too much.
    """
    settings = invocation.settings
    chosen = [described(settings, name)] if name else list(settings.backup_stores)
    rows: list[dict[str, Any]] = []
    for one in chosen:
        check_separate(settings, one)
        rows += [
            {"store": one.name, "right": tried.what, "ok": tried.ok, "detail": tried.detail} for tried in probe(one)
        ]
    columns = {"store": "STORE", "right": "RIGHT", "ok": "OK", "detail": "DETAIL"}
    invocation.output.table(rows, columns, "")
    if wrong := [row for row in rows if not row["ok"]]:
        raise VerificationError(f"{len(wrong)} of {len(rows)} rights are not as they should be: {wrong[0]['right']}.")


@store.command(example="strongroom store init london --credentials admin.toml")
@click.argument("name")
@click.option(
    "--credentials", type=click.Path(path_type=Path), help="Of somebody who may set buckets up [those of the store]."
)
@pass_invocation
def init(invocation: Invocation, name: str, credentials: Path | None) -> None:
    """Make the bucket or folder of a store, with object lock where lock_days is set, and rules that clear up.

    May be repeated. Says what the provider does not have.
    """
    settings = invocation.settings
    one = described(settings, name)
    check_separate(settings, one)
    steps = set_up(one, credentials.expanduser().absolute() if credentials else None)
    rows = [{"place": step.place, "what": step.what, "outcome": step.outcome} for step in steps]
    invocation.output.table(rows, {"place": "PLACE", "what": "WHAT", "outcome": "OUTCOME"}, "")


def _failure(settings: Settings, one: StoreSettings) -> str | None:
    """Return why the store cannot be used now; None: it answers."""
    if one.scheme == "file" and not one.folder.is_dir():
        return (
            f"There is no folder {one.folder}; is its disk mounted? If it is new, run: strongroom store init {one.name}"
        )
    try:
        next(open_store(settings, one.name).list("check"), None)
    except StrongroomError as error:
        return str(error)
    return None


def _row(one: StoreSettings, copies: StoreCopies | None, failure: str | None) -> dict[str, Any]:
    since = copies.waiting_since if copies else None
    return {
        "name": one.name,
        "kind": one.scheme,
        "url": one.url,
        "region": one.region or None,
        "reachable": failure is None,
        "backups": copies.held if copies else 0,
        "pending": copies.waiting if copies else 0,
        "oldest_pending_seconds": round((datetime.now(UTC) - since).total_seconds()) if since else None,
        "lock_days": one.lock_days or None,
        "failure": failure or (copies.failure if copies else None),
    }
