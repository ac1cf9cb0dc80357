"""Handing the workspace to another owner: one offers, the other accepts, both are told. Nothing here commits."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ....config.errors import CallError, RefusedError, StaleVersionError
from ....tenant_schema.queries import audit, invitations, members, sessions, transfers
from ....tenant_schema.queries.transfers import Transfer
from ...web import sessions as web_sessions
from ...web import tenant
from ...web.formats import day
from ...web.member import CurrentMember
from ...web.permissions import Role
from ...webhooks.prompt import announce
from . import letters, service
from .rules import locked
from .service import Person

GOOD_FOR = timedelta(days=7)
NONE_WAITS = "No transfer of ownership waits for you: it was withdrawn, answered, or has run out."


@dataclass(frozen=True, slots=True)
class Offer:
    """An open transfer as a page shows it. `version` says which one the page showed."""

    giver: str
    taker: str
    taker_id: UUID
    stays_owner: bool
    created_at: datetime
    expires_at: datetime

    @property
    def version(self) -> str:
        """When it was offered, to the microsecond."""
        return _version(self.created_at)


def offered(now: datetime) -> Offer | None:
    """The open transfer, if there is one."""
    found = transfers.open_one(tenant.connection(), now)
    if found is None:
        return None
    giver, taker = letters.address_of(found.from_id)[0], letters.address_of(found.to_id)[0]
    return Offer(giver, taker, found.to_id, found.stays_owner, found.created_at, found.expires_at)


def offered_to(member: CurrentMember, now: datetime) -> Offer | None:
    """The open transfer, if it is offered to `member`."""
    found = offered(now)
    return found if found and found.taker_id == member.id else None


def candidates(actor: CurrentMember) -> list[Person]:
    """Who could become the owner: everybody who has joined and is none."""
    return [one for one in service.people(actor) if one.joined and one.role is not Role.OWNER and one.id != actor.id]


def start(actor: CurrentMember, to_id: UUID, *, stays_owner: bool, now: datetime) -> None:
    """Offer the workspace to a member, who has seven days to accept.

    Raises `NotFoundError` for a stranger's id, `CallError` for who cannot be an owner, `RefusedError` while another
    transfer is open.
    """
    conn = tenant.connection()
    members.by_id(conn, to_id)
    row = locked(actor, to_id)[to_id]
    if row.state != "active" or row.password_hash is None or row.role == Role.OWNER:
        raise CallError("Choose a member who has joined and is not an Owner already.", "member")
    transfers.cancel_expired(conn, now)
    until = now + GOOD_FOR
    if transfers.start(conn, from_id=actor.id, to_id=to_id, stays_owner=stays_owner, expires_at=until) is None:
        raise RefusedError("Another transfer is open; cancel it before you start a new one.")
    audit.record(conn, actor.id, "ownership.offered", "member", to_id, {"stays_owner": stays_owner})
    _tell_of_offer(actor, to_id, until)


def accept(member: CurrentMember, version: str, now: datetime) -> None:
    """Make `member` an Owner, and the giver an Admin unless they stay one, at once.

    Sessions that began with the old roles end, all but this one. Raises `RefusedError` where nothing (any more) is
    offered to `member`, `StaleVersionError` where it is another offer than the page showed.
    """
    conn = tenant.connection()
    found = _must_be_offered(member, version, now)
    rows = locked(member, found.from_id)
    giver = rows.get(found.from_id)
    if giver is None or giver.role != Role.OWNER or giver.state != "active":
        raise RefusedError(NONE_WAITS)
    if transfers.accept(conn, found.id, member.id, now) is None:  # answered a moment ago, in another tab perhaps
        raise RefusedError(NONE_WAITS)
    _give(member, member.id, member.role, Role.OWNER)
    web_sessions.rotate(end_others=True)
    if not found.stays_owner:
        _give(member, giver.id, Role.OWNER, Role.ADMIN)
        invitations.revoke_by(conn, giver.id)  # an Admin may not grant what these could
        sessions.revoke_all(conn, giver.id)
    audit.record(conn, member.id, "ownership.transferred", "member", giver.id, {"stays_owner": found.stays_owner})
    _tell_of_change(found)


def decline(member: CurrentMember, version: str, now: datetime) -> None:
    """Say no to the offer. Raises as `accept` does."""
    found = _must_be_offered(member, version, now)
    _end(member, found, "ownership.declined", told=found.from_id, words=f"{member.name} has declined to take over")


def cancel(actor: CurrentMember, now: datetime) -> None:
    """Take an offer back; any Owner may. Raises `RefusedError` where none is open."""
    found = transfers.open_one(tenant.connection(), now)
    if found is None:
        raise RefusedError("No transfer of ownership is open.")
    _end(actor, found, "ownership.cancelled", told=found.to_id, words=f"{actor.name} no longer wants to hand over")


def _must_be_offered(member: CurrentMember, version: str, now: datetime) -> Transfer:
    found = transfers.open_one(tenant.connection(), now)
    if found is None or found.to_id != member.id:
        raise RefusedError(NONE_WAITS)
    if version != _version(found.created_at):
        raise StaleVersionError("This offer has changed since you opened the page; read it again.")
    return found


def _give(actor: CurrentMember, member_id: UUID, before: Role, role: Role) -> None:
    conn = tenant.connection()
    members.set_role(conn, member_id, role)
    audit.record(conn, actor.id, "member.role_changed", "member", member_id, {"from": before, "to": role})
    announce("member.role_changed", {"member_id": str(member_id), "from": before, "to": role, "by": str(actor.id)})


def _end(actor: CurrentMember, found: Transfer, action: str, *, told: UUID, words: str) -> None:
    conn = tenant.connection()
    if transfers.cancel(conn, found.id) is None:
        raise RefusedError("This transfer was answered a moment ago; reload the page.")
    audit.record(conn, actor.id, action, "member", found.to_id)
    _, email = letters.address_of(told)
    workspace = tenant.tenant().name
    letters.write(
        email, f"{workspace} stays with its Owner", f"{words} the workspace “{workspace}”. Nothing changes.\n"
    )


def _tell_of_offer(actor: CurrentMember, to_id: UUID, until: datetime) -> None:
    workspace, (name, email) = tenant.tenant().name, letters.address_of(to_id)
    page = letters.link_to("/members/transfer/offer")
    letters.write(
        email,
        f"{actor.name} offers you the workspace {workspace}",
        f"{actor.name} wants to make you the Owner of the workspace “{workspace}”.\n\n"
        f"Sign in and say whether you accept, by {day(until)}:\n\n{page}\n\n"
        "An Owner may do everything, including billing and deleting the workspace. Nothing changes until you accept.\n",
    )
    letters.write(
        actor.email,
        f"You offer {workspace} to {name}",
        f"You have asked {name} to become the Owner of the workspace “{workspace}”. Nothing changes until they accept, "
        f"and until {day(until)} you can take the offer back:\n\n{letters.link_to('/members/transfer')}\n\n"
        "If this was not you, cancel it there and change your password.\n",
    )


def _tell_of_change(found: Transfer) -> None:
    workspace = tenant.tenant().name
    (giver, giver_email), (taker, taker_email) = letters.address_of(found.from_id), letters.address_of(found.to_id)
    left = "remains an Owner, too" if found.stays_owner else "is now an Admin"
    body = f"{taker} is now an Owner of the workspace “{workspace}”. {giver} {left}.\n"
    for email in (giver_email, taker_email):
        letters.write(email, f"{workspace} has a new Owner", body)


def _version(created_at: datetime) -> str:
    return str(int(created_at.timestamp() * 1_000_000))
