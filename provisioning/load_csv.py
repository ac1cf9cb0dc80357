"""`tenant load`: a CSV file of expenses into a workspace, all of it or nothing."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection

from ..config.errors import NotFoundError, RefusedError
from ..platform.control.platform import Platform
from ..platform.keys import FieldCipher, normalise_email
from ..platform.keys.receipts import ReceiptVault
from ..platform.portal.imports.service import ImportResult, import_csv
from ..platform.tenants.records import Tenant
from ..platform.tenants.states import TenantState
from ..tenant_schema.ids import new_uuid7
from ..tenant_schema.queries import invitations, members
from ..tenant_schema.queries import settings as workspace_settings
from ..tenant_schema.tables import invitation as invitation_table
from ..tenant_schema.tables import member as member_table


def load_csv(
    platform: Platform,
    tenant: Tenant,
    path: Path,
    receipts_dir: Path | None = None,
    member: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> ImportResult:
    """Import `path` in one transaction; rows that name no member belong to `member` (an e-mail, default: the owner).

    Raises `CallError` for a file that cannot be read, `NotFoundError` for a member who is none, `RefusedError` unless
    the workspace is active. Wrong rows raise nothing: the result lists them, and nothing was stored.
    """
    if tenant.state is not TenantState.ACTIVE:
        raise RefusedError(f"The workspace “{tenant.slug}” is {tenant.state}; it takes no expenses now.")
    with platform.registry.connect(tenant) as conn, conn.begin() as transaction:
        result = import_into(conn, platform, tenant, path, receipts_dir=receipts_dir, member=member, progress=progress)
        if not result.accepted:
            transaction.rollback()
    return result


def import_into(
    conn: Connection,
    platform: Platform,
    tenant: Tenant,
    path: Path,
    *,
    receipts_dir: Path | None = None,
    member: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> ImportResult:
    """Import as `load_csv` does, in the caller's transaction on the workspace, which rolls back what was rejected."""
    keys = platform.keys.tenant(tenant.id)
    cipher, vault = FieldCipher(keys), ReceiptVault(platform.settings, keys)
    default = _member(conn, cipher, member) if member else _owner(conn, cipher)
    return import_csv(
        conn,
        cipher,
        vault,
        path,
        receipts_dir,
        base_currency=workspace_settings.base_currency(conn),
        default_member_id=default,
        progress=progress,
    )


def _member(conn: Connection, cipher: FieldCipher, email: str) -> UUID:
    found = members.by_email(conn, cipher.blind(member_table.c.email_index, normalise_email(email)))
    if found is None or found.state != "active":
        raise NotFoundError(f"“{email}” is no member of this workspace.")
    return found.id


def _owner(conn: Connection, cipher: FieldCipher) -> UUID:
    """The owner; one who has not accepted yet becomes a member without a password, and takes over by accepting."""
    owners = members.active_owners(conn)
    if owners:
        return owners[0]
    for invited in invitations.list_open(conn, datetime.now(UTC)):
        if invited.role == "owner":
            email = cipher.open(invitation_table.c.email, invited.id, invited.email)
            return _add_owner(conn, cipher, email)
    raise RefusedError("This workspace has no owner, and nobody is invited to be; name a member with --member.")


def _add_owner(conn: Connection, cipher: FieldCipher, email: str) -> UUID:
    columns, member_id = member_table.c, new_uuid7()
    members.insert(
        conn,
        id=member_id,
        email=cipher.seal(columns.email, member_id, email),
        email_index=cipher.blind(columns.email_index, email),
        name=cipher.seal(columns.name, member_id, email.partition("@")[0]),
        password_hash=None,
        role="owner",
    )
    return member_id
