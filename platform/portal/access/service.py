"""Signing in and accepting an invitation. Nothing here commits."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from ....config.errors import CallError, RefusedError
from ....tenant_schema import tables
from ....tenant_schema.ids import new_uuid7
from ....tenant_schema.queries import audit, invitations, members, tokens
from ...cards.masking import mask
from ...keys.emails import LONGEST_TYPED, normalise_email
from ...keys.passwords import dummy_verify, hash_password, needs_renewal, verify_password
from ...keys.tokens import hash_of
from ...web import refusals, tenant
from ...web.permissions import Role
from ...webhooks.prompt import announce
from .passwords import check_password

LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Invited:
    """What the invited person is shown."""

    email: str
    role: Role


def check_credentials(email: str, password: str) -> UUID | None:
    """The member with this e-mail address and password, or None. Takes as long when nobody has the address.

    Locks the member's row: until the commit nobody else sets another password, removes the member or says “this was
    not me”. Who did so while the hash was computed is found here, and the old password no longer fits.
    """
    keys, cost = tenant.platform().keys.platform(), tenant.platform().settings.bcrypt_cost
    found = members.by_email(tenant.connection(), email_index(email))
    if found is None or found.password_hash is None or found.state != "active":
        dummy_verify(password, keys.pepper, cost)
        return None
    if not fits(password, found.password_hash):
        return None
    if not needs_renewal(found.password_hash, keys.pepper, cost):
        return found.id if members.has_still(tenant.connection(), found.id, found.password_hash) else None
    renewed = hash_new(password)
    members.replace_password_hash(tenant.connection(), found.id, found.password_hash, renewed)
    return found.id if members.has_still(tenant.connection(), found.id, renewed) else None


def member_of(email: str) -> UUID | None:
    """Whose address it is, in whatever state the member is."""
    found = members.by_email(tenant.connection(), email_index(email))
    return found.id if found else None


def fits(password: str, stored: str) -> bool:
    """Whether `password` is the one behind a stored hash, whichever pepper it was made with."""
    platform = tenant.platform()
    keys = platform.keys.platform()
    return verify_password(password, stored, keys.pepper, keys.earlier_peppers, platform.settings.bcrypt_cost)


def email_index(email: str) -> bytes:
    """The blind index of an address as somebody typed it; also of text that is no address, which nobody has."""
    try:
        spelled = normalise_email(email)
    except CallError:
        spelled = email[:LONGEST_TYPED].strip().casefold()
    return tenant.cipher().blind(tables.member.c.email_index, spelled)


def invited(token: str, now: datetime) -> Invited | None:
    """Who is invited by `token`; None where the invitation cannot be used (any more)."""
    row = _invitation(tenant.connection(), token, now)
    return Invited(_email_of(row), Role(row.role)) if row else None


def accept(token: str, name: str, password: str, now: datetime) -> UUID | None:
    """Make the invited person a member, once; None where the invitation cannot be used (any more).

    Raises `CallError` for a name or password that will not do, `RefusedError` where the address is a member's already.
    """
    conn = tenant.connection()
    row = _invitation(conn, token, now)
    if row is None:
        return None
    email = _email_of(row)
    name = check_name(name)
    check_password(password, email, tenant.tenant().name, name)
    hashed = hash_new(password)
    invitations.lock_for(conn, row.email_index)
    if invitations.accept(conn, hash_of(token), now) is None:  # somebody was faster with the same link
        return None
    invitations.revoke_for(conn, row.email_index)  # another one of this address, sent at the same moment
    member_id = _join(email, name, hashed, row.role)
    audit.record(conn, member_id, "member.joined", "member", member_id, {"role": row.role})
    announce("member.joined", {"member_id": str(member_id), "role": row.role})
    return member_id


def check_name(name: str) -> str:
    """A person's name without surrounding space. Raises `CallError`."""
    name = mask(" ".join(name.split()))
    if not name:
        raise CallError("Enter your name, as the others know it.", "name")
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise CallError(f"A name may have up to {LONGEST_NAME} characters.", "name")
    return name


def hash_new(password: str) -> str:
    """The hash of a new password, at the cost that the settings name."""
    platform = tenant.platform()
    return hash_password(password, platform.keys.platform().pepper, platform.settings.bcrypt_cost)


def _invitation(conn: Connection, token: str, now: datetime) -> invitations.Invitation | None:
    row = invitations.by_token(conn, hash_of(token), now)
    if row is None and not tokens.was_an_invitation(conn, hash_of(token)):
        refusals.note(refusals.UNKNOWN_LINK)
    return row


def _join(email: str, name: str, hashed: str, role: str) -> UUID:
    """Add the member, or bring back the one who was removed: the history stays with the person."""
    conn, cipher, columns = tenant.connection(), tenant.cipher(), tables.member.c
    index = email_index(email)
    known = members.by_email(conn, index)
    if known is None:
        row_id = new_uuid7()
        members.insert(
            conn,
            id=row_id,
            email=cipher.seal(columns.email, row_id, email),
            email_index=index,
            name=cipher.seal(columns.name, row_id, name),
            password_hash=hashed,
            role=role,
        )
        return row_id
    if known.state == "active" and known.password_hash is not None:  # without: entered by an import, never joined
        raise RefusedError("There is already a member with this e-mail address; sign in instead.")
    members.set_state(conn, known.id, "active")
    members.set_role(conn, known.id, role)
    members.set_name(conn, known.id, cipher.seal(columns.name, known.id, name))
    members.set_password_hash(conn, known.id, hashed)
    return known.id


def _email_of(row: invitations.Invitation) -> str:
    return tenant.cipher().open(tables.invitation.c.email, row.id, row.email)
