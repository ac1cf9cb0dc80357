"""Names of backups and of their objects. Specified in docs/backup-format.md."""

import secrets
from datetime import UTC, datetime

from .stores.contract import Store

_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


def new_backup_id(now: datetime) -> str:
    """Return a fresh id that sorts by time: `20260131-235959-` and eight random letters."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(8))
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{letters}"


def folder(tenant_id: str | None) -> str:
    """Return the folder of all objects of a tenant, or of the control database."""
    return f"tenants/{tenant_id}" if tenant_id else "control"


def dump_object(tenant_id: str | None, backup_id: str) -> str:
    """Return the name of the encrypted dump."""
    return f"{folder(tenant_id)}/{backup_id}.age"


def descriptor_object(dump: str) -> str:
    """Return the name of the descriptor that lies beside the dump of this name."""
    return dump.removesuffix(".age") + ".json"


def receipt_object(tenant_id: str, sha256: str) -> str:
    """Return the name of the copy of a sealed receipt; `sha256` is that of the sealed bytes."""
    return f"{folder(tenant_id)}/receipts/{sha256[:2]}/{sha256}"


def remove_objects(store: Store, dump: str) -> None:
    """Remove a dump and its descriptor; neither needs to be there."""
    for name in (dump, descriptor_object(dump)):
        store.delete(name)
