"""The age identity that opens the backups of one workspace, for whoever opens them by hand."""

import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from ...config.errors import FailedError, NotFoundError, RefusedError
from ...config.settings import Settings
from ...platform.audit import queries as operators_audit
from ...platform.control.platform import Platform
from ...platform.keys import durable
from ...platform.keys.records import PlatformKeys, TenantKeys
from ...platform.keys.store import PLATFORM_OBJECT
from ...platform.tenants import queries as tenants
from ...provisioning.initialise import is_initialised
from ...provisioning.opening import open_home
from ...provisioning.postgres.programs import client_environment, find_bindir
from .. import names
from ..header import timestamp
from ..stores.opening import Place
from ..verify import read_dump
from .control import whole_backups
from .keys import Escrow, prove, unwrap

CONTROL = "control"
SHOWN = "backup.identity.shown"


def of_home(platform: Platform, wanted: str, operator: str) -> tuple[str | None, str]:
    """Return the id of a workspace (None: the control database) and its identity, and write that down.

    `wanted` is a slug, an id, or “control”. Raises `NotFoundError`, also for an account whose keys are destroyed.
    """
    with platform.control.begin() as conn:
        tenant_id = None if wanted == CONTROL else _id_in(platform, wanted) or tenants.by_slug(conn, wanted).id
        keys = platform.keys.tenant(tenant_id) if tenant_id else platform.keys.platform()
        operators_audit.record(conn, operator, SHOWN, tenant_id)
    return tenant_id, keys.backup_identity


def of_store(settings: Settings, place: Place, escrow: Escrow, where: str, wanted: str) -> tuple[str | None, str]:
    """Return the same from the key copies of a store and the master key: no home is needed.

    A slug is looked up in the newest backup of the control database that is whole.
    """
    prove(escrow, place.keys, where)
    control = PlatformKeys.load(unwrap(escrow, place.keys, "platform", PLATFORM_OBJECT)).backup_identity
    if wanted == CONTROL:
        return None, control
    if place.keys.exists(f"{escrow.key.id}/tenant/{wanted}.json"):
        tenant_id = wanted
    else:
        tenant_id = _look_up(settings, place, control, wanted)
    try:
        keys = TenantKeys.load(tenant_id, unwrap(escrow, place.keys, "tenant", tenant_id))
    except NotFoundError as error:
        raise NotFoundError(f"{where} holds no keys of “{wanted}” ({tenant_id}): nothing of it can be read.") from error
    return tenant_id, keys.backup_identity


def note_in_home(settings: Settings, tenant_id: str | None, operator: str) -> None:
    """Write down in the operators' audit log, if this machine has a home, that an identity was handed out."""
    if not is_initialised(settings):
        return
    with open_home(settings) as platform, platform.control.begin() as conn:
        operators_audit.record(conn, operator, SHOWN, tenant_id)


def refuse_existing(path: Path) -> None:
    """Raise `RefusedError` if there is a file already."""
    if path.exists():
        raise RefusedError(f"{path} is there already; remove it, or choose another name.")


def write_identity(path: Path, tenant_id: str | None, identity: str) -> None:
    """Write a new file, mode 0600, as `age --decrypt --identity` reads it. Raises `RefusedError`, `FailedError`."""
    lines = (f"# folder: {names.folder(tenant_id)}", f"# written: {timestamp(datetime.now(UTC))}", identity, "")
    refuse_existing(path)
    durable.write_once(path, "\n".join(lines).encode())


def _id_in(platform: Platform, wanted: str) -> str | None:
    return wanted if wanted in platform.keys.tenant_ids() else None


def _look_up(settings: Settings, place: Place, identity: str, slug: str) -> str:
    found = next(iter(whole_backups(place.backups, identity, lambda _: None)), None)
    if found is None:
        raise NotFoundError("No backup of the control database can be opened, so names are unknown: use the id.")
    with tempfile.TemporaryFile() as archive:
        read_dump(place.backups, found.descriptor, identity, archive)
        archive.seek(0)
        command = [find_bindir(settings) / "pg_restore", "--data-only", "--table=tenant", "--file=-"]
        done = subprocess.run(
            command, stdin=archive, capture_output=True, text=True, env=client_environment(tls=False), check=False
        )
    if done.returncode != 0:
        raise FailedError(f"pg_restore failed: {done.stderr.strip() or done.returncode}.")
    tenant_id = _parse(done.stdout).get(slug)
    if tenant_id is None:
        raise NotFoundError(f"There is no workspace “{slug}” in the newest backup of the control database.")
    return tenant_id


def _parse(script: str) -> dict[str, str]:
    """Return slug → id from the COPY of the table `tenant` in a script of `pg_restore`."""
    lines = iter(script.splitlines())
    head = next((line for line in lines if line.startswith("COPY ")), "COPY tenant () FROM stdin;")
    columns = head.partition("(")[2].partition(")")[0].split(", ")
    found: dict[str, str] = {}
    for line in lines:
        if line == "\\.":
            break
        row = dict(zip(columns, line.split("\t"), strict=False))
        if row.get("state") != "erased":
            found[row.get("slug", "")] = row.get("id", "")
    return found
