"""Forgetting one person in a workspace that goes on, and again in whatever is restored of it later.

Replaced or removed: name, e-mail address, password, sessions, devices, second factors, cards, invitations, letters,
names of tokens, descriptions of webhooks, file names of uploads, and what was sent to programs about them. What the
person has spent, submitted and decided stays, under “Erased member”: these are the company's records.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Connection, Table, text

from ...config.errors import NotFoundError, RefusedError
from ...platform.audit import queries as operators_audit
from ...platform.control.platform import Platform
from ...platform.keys import FieldCipher, normalise_email
from ...platform.protection import queries as protection
from ...platform.servers import queries as servers
from ...platform.tenants import queries as tenants
from ...platform.tenants.records import Tenant
from ...platform.tenants.states import TenantState
from ...provisioning.create import tenant_lock
from ...provisioning.sessions import migrator_connection
from ...tenant_schema import tables
from ...tenant_schema.migrate import current_revision, newest_revision
from ...tenant_schema.queries import audit, forgetting, members
from ..queueing import queue_backup
from . import belongings, queries
from .remains import longest_kept

NAME = "Erased member"
_DOMAIN = "@erased.invalid"  # no mail is ever delivered there: RFC 2606
_SUFFIX = {"application/pdf": "pdf", "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased: ids of the member and of invitations, and how many letters. Backups hold it until then."""

    ids: list[UUID]
    letters: int
    in_backups_until: datetime


def forget(platform: Platform, slug: str, email: str, operator: str) -> Forgotten:
    """Erase the person with that e-mail address from a workspace.

    Raises `NotFoundError`, `CallError` for what is no address, `RefusedError` for the last owner or in a state in which
    the workspace cannot be changed.
    """
    address = normalise_email(email)
    with platform.control.connect() as conn:
        tenant_id = tenants.by_slug(conn, slug).id
    with tenant_lock(platform, tenant_id):
        with platform.control.connect() as conn:
            tenant = tenants.by_id(conn, tenant_id)
            kept = protection.policies(conn, platform.settings)[tenant.plan].longest_kept
        if tenant.state not in (TenantState.ACTIVE, TenantState.SUSPENDED):
            raise RefusedError(f"The workspace “{slug}” is {tenant.state}; nobody can be erased from it now.")
        ids, letters = _forget(platform, tenant, address, operator)
        with platform.control.begin() as conn:  # so that the newest backups know of it soon, the ledger's too
            queue_backup(conn, tenant_id)
            queue_backup(conn, None)
    until = datetime.now(UTC) + max(kept, longest_kept(platform.settings))
    return Forgotten(ids, letters, until)


def replay_forgotten(conn: Connection, tenant_id: str, platform: Platform, target_id: str | None = None) -> int:
    """Forget again, in a restored copy, everybody who was erased from the workspace `tenant_id`; return how many ids.

    `conn` is in the copy, in the caller's transaction, as the role that owns the tables. `target_id`: whose keys the
    copy is sealed under, where that is another workspace.
    """
    with platform.control.connect() as control:
        ids = queries.forgotten(control, tenant_id)
    if ids:
        _erase_people(conn, FieldCipher(platform.keys.tenant(target_id or tenant_id)), ids, platform)
    return len(ids)


def _forget(platform: Platform, tenant: Tenant, address: str, operator: str) -> tuple[list[UUID], int]:
    """The ledger is durable before anybody is gone: what was done to the rows alone, a restore would undo."""
    cipher = FieldCipher(platform.keys.tenant(tenant.id))
    with platform.control.connect() as conn:
        server = servers.by_name(conn, tenant.server)
    with migrator_connection(platform, server, tenant.database) as conn, conn.begin():
        conn.execute(text(f'SET LOCAL ROLE "{tenant.owner_role}"'))
        if current_revision(conn) != newest_revision():
            raise RefusedError(f"“{tenant.slug}” has yet to be upgraded: run `strongroom fleet migrate` first.")
        ids = _ids(conn, cipher, address)
        if not ids:
            raise NotFoundError(f"Nobody in “{tenant.slug}” has the address “{address}”.")
        owners = set(members.active_owners(conn))
        if owners and owners <= set(ids):
            raise RefusedError("A workspace always has an Owner: make somebody else one first.")
        with platform.control.begin() as control:
            queries.forget_people(control, tenant.id, ids, operator)
            operators_audit.record(control, operator, "tenant.person_forgotten", tenant.id, {"id": str(ids[0])})
        letters = _erase_people(conn, cipher, ids, platform)
        audit.record(conn, None, "member.forgotten", "member", ids[0])
    return ids, letters


def _erase_people(conn: Connection, cipher: FieldCipher, ids: Sequence[UUID], platform: Platform) -> int:
    """Erase the members and invitations of these ids, and all invitations and letters of theirs; return the letters."""
    people = list(_people(conn, cipher, ids))
    addresses = {address for _, address, _ in people if not address.endswith(_DOMAIN)}
    invited = {one for address in addresses for one in _ids(conn, cipher, address)} | set(ids)
    for member_id, _, name in people:
        if name is not None:
            _erase_member(conn, cipher, member_id)
    for invitation_id, _ in forgetting.sealed_invitations(conn, list(invited)):
        forgetting.replace_invitation(conn, invitation_id, _sealed_address(cipher, tables.invitation, invitation_id))
    names = {name for _, _, name in people if name not in (None, NAME)}
    belongings.erase_mentions(conn, cipher, {*addresses, *filter(None, names)})
    return _remove_letters(conn, cipher, addresses, {*addresses, *filter(None, names)}, platform)


def _people(conn: Connection, cipher: FieldCipher, ids: Sequence[UUID]) -> Iterator[tuple[UUID, str, str | None]]:
    """Yield id, address and name; an invitation has no name."""
    columns = tables.member.c
    for row_id, email, name in forgetting.sealed_members(conn, ids):
        yield row_id, cipher.open(columns.email, row_id, email), cipher.open(columns.name, row_id, name)
    for row_id, email in forgetting.sealed_invitations(conn, ids):
        yield row_id, cipher.open(tables.invitation.c.email, row_id, email), None


def _ids(conn: Connection, cipher: FieldCipher, address: str) -> list[UUID]:
    of_member = cipher.blind(tables.member.c.email_index, address)
    of_invitation = cipher.blind(tables.invitation.c.email_index, address)
    return forgetting.ids_of(conn, of_member, of_invitation)


def _erase_member(conn: Connection, cipher: FieldCipher, member_id: UUID) -> None:
    name = {"name": cipher.seal(tables.member.c.name, member_id, NAME)}
    forgetting.replace_member(conn, member_id, name | _sealed_address(cipher, tables.member, member_id))
    belongings.erase(conn, cipher, member_id)
    column, renamed = tables.receipt.c.file_name, list[dict[str, object]]()
    for one, media_type in forgetting.uploads(conn, member_id):
        renamed.append({"row_id": one, "file_name": cipher.seal(column, one, f"receipt.{_SUFFIX[media_type]}")})
    forgetting.rename_uploads(conn, renamed)


def _sealed_address(cipher: FieldCipher, table: Table, row_id: UUID) -> dict[str, bytes]:
    """An address that nobody has, nobody can sign in with, and that is like no other."""
    address = f"{row_id}{_DOMAIN}"
    return {
        "email": cipher.seal(table.c.email, row_id, address),
        "email_index": cipher.blind(table.c.email_index, address),
    }


def _remove_letters(
    conn: Connection, cipher: FieldCipher, addresses: Collection[str], words: Collection[str], platform: Platform
) -> int:
    """Remove the letters to these addresses, and those sent to others that mention one of the words."""
    columns, found = tables.outbox.c, list[UUID]()
    for letter in forgetting.letters(conn) if words else ():
        recipient = cipher.open(columns.recipient, letter.id, letter.recipient)
        content = cipher.open(columns.subject, letter.id, letter.subject)
        content += cipher.open(columns.body, letter.id, letter.body)
        mentions = letter.sent_at is not None and any(word in content for word in words)
        if recipient in addresses or mentions:
            found.append(letter.id)
    forgetting.remove_letters(conn, found)
    for one in found:
        (platform.settings.outbox_dir / f"{one}.eml").unlink(missing_ok=True)
    return len(found)
