"""Links that lead back in. Nothing here commits the workspace's transaction."""

from datetime import datetime

from ....tenant_schema import tables
from ....tenant_schema.queries import audit, members, sessions
from ...jobs.app import defer_in
from ...web import limits, refusals, tenant
from ..access import links, service, tries
from ..access.passwords import check_password
from ..alerts import Alert, tell
from .letters import SEND

ASKS_PER_ACCOUNT = "3 per hour"


def ask(email: str, purpose: str) -> None:
    """Have a worker send a link to `email`, if a member has it.

    Nothing is looked up here, so nobody can tell from answer, time or work whether there is such a member. Beyond three
    an hour nothing is sent, whoever it is for.
    """
    platform, here = tenant.platform(), tenant.tenant()
    account = service.email_index(email).hex()
    if not limits.within(ASKS_PER_ACCOUNT, purpose, here.id, account):
        return
    with platform.control.begin() as control:
        lock = f"{SEND} {here.id} {account} {purpose}"
        defer_in(control, SEND, queueing_lock=lock, tenant_id=here.id, account=account, purpose=purpose)


def owner(token: str, purpose: str, now: datetime) -> members.Member | None:
    """Whose link this is, unused; None where it cannot be used (any more)."""
    conn = tenant.connection()
    member_id = links.look(conn, token, purpose, now)
    if member_id is None:
        if not links.was_made(conn, token):
            refusals.note(refusals.UNKNOWN_LINK)
        return None
    return members.by_id(conn, member_id)


def email_of(member: members.Member) -> str:
    """The member's address, for the password manager that saves the new password."""
    return tenant.cipher().open(tables.member.c.email, member.id, member.email)


def reset(token: str, password: str, now: datetime) -> bool:
    """Set the password of the member whose link this is and end all sessions; False where the link is not good.

    Raises `CallError` for a password that will not do; the link stays good then.
    """
    member = owner(token, links.RESET, now)
    if member is None:
        return False
    name = tenant.cipher().open(tables.member.c.name, member.id, member.name)
    check_password(password, email_of(member), tenant.tenant().name, name)
    hashed, conn = service.hash_new(password), tenant.connection()
    if links.use(conn, token, links.RESET, now) is None:  # somebody was faster with the same link
        return False
    members.set_password_hash(conn, member.id, hashed)
    sessions.revoke_all(conn, member.id)
    links.end(conn, member.id, *links.ONE_AT_A_TIME)
    audit.record(conn, member.id, "member.password_reset", "member", member.id)
    tell(Alert.PASSWORD_CHANGED, member.id)
    tries.succeeded(member.email_index.hex())
    return True


def use_to_unlock(token: str, now: datetime) -> str | None:
    """Use the link up and return the account that it is for, as `tries` knows it; None where it is not good."""
    conn = tenant.connection()
    member_id = links.use(conn, token, links.UNLOCK, now)
    if member_id is None:
        owner(token, links.UNLOCK, now)  # notes a token that was never sent from here
        return None
    audit.record(conn, member_id, "member.unlocked", "member", member_id)
    return members.by_id(conn, member_id).email_index.hex()
