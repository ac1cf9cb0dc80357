"""“This was not me”: whoever is in the member's account is out, and only the member's mailbox leads back in.

Nothing here commits. The link that is used up proves no more than that somebody reads the member's mail. So it takes
away, and gives nothing: the way back is a link in another mail, and a second factor stays in force.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from ....tenant_schema import tables
from ....tenant_schema.queries import audit, devices, factors, invitations, members, sessions, takeovers
from ...mail import outbox
from ...web import refusals, tenant
from ..access import links

RESET_GOOD_FOR = timedelta(minutes=30)
NO_PASSWORD = "none"  # no password fits it, and trying one takes as long as ever; making a hash could end in a 503
BEFORE = timedelta(days=1)  # who is told of a sign-in may not have been told of the one before


@dataclass(frozen=True, slots=True)
class Disowned:
    """What was done. `locked`: the member's only second factors may be the stranger's, and are asked for."""

    tokens: int
    factors_removed: int
    locked: bool
    sessions: int


def is_good(token: str, now: datetime) -> bool:
    """Whether the link could be used now."""
    conn = tenant.connection()
    good = links.look(conn, token, links.NOT_ME, now) is not None
    if not good and not links.was_made(conn, token):
        refusals.note(refusals.UNKNOWN_LINK)
    return good


def disown(token: str, now: datetime) -> Disowned | None:
    """Use the link up and end every way into its member's account; None where the link is not good (any more).

    The password becomes one that nobody knows. Factors that were added since a day before the first mail that still
    could be answered may be the stranger's: they go where the member has an older one, which is asked for as before.
    """
    conn = tenant.connection()
    member_id = links.use(conn, token, links.NOT_ME, now)
    if member_id is None:
        is_good(token, now)  # notes one that was never sent from here
        return None
    members.set_password_hash(conn, member_id, NO_PASSWORD)
    since = links.first_made(conn, member_id, token, links.NOT_ME, now) - BEFORE  # of mails, a later one may be clicked
    older = takeovers.has_factor_before(conn, member_id, since)
    done = Disowned(
        tokens=takeovers.revoke_tokens(conn, member_id),
        factors_removed=takeovers.remove_factors(conn, member_id, since) if older else 0,
        locked=not older and _lock_factors(conn, member_id, since),
        sessions=_end_the_rest(conn, member_id),
    )
    detail = {"sessions": done.sessions, "tokens": done.tokens, "factors": done.factors_removed, "locked": done.locked}
    audit.record(conn, member_id, "member.disowned_sign_in", "member", member_id, detail)
    _send_reset(conn, member_id)
    return done


def _lock_factors(conn: Connection, member_id: UUID, since: datetime) -> bool:
    """Let new factors, where there is no older one, let nobody past; False where there is none.

    An app stays as it is: whoever reads the mail alone cannot take it away, and alone it opens nothing.
    """
    if not factors.has_second_factor(conn, member_id):
        return False
    takeovers.spoil_passkeys(conn, member_id, since)
    factors.remove_codes(conn, member_id)
    return True


def _end_the_rest(conn: Connection, member_id: UUID) -> int:
    """What a stranger could come back by, or let others in by; the sessions last. Returns how many there were."""
    takeovers.end_challenges(conn, member_id)
    takeovers.cancel_transfers(conn, member_id)
    invitations.revoke_by(conn, member_id)
    devices.forget_all(conn, member_id)
    links.end(conn, member_id, links.RESET, links.NOT_ME, links.UNLOCK)
    return sessions.revoke_all(conn, member_id)


def _send_reset(conn: Connection, member_id: UUID) -> None:
    cipher, settings, here = tenant.cipher(), tenant.platform().settings, tenant.tenant()
    row, address = members.by_id(conn, member_id), settings.workspace_url(here.slug)
    token = links.make(conn, member_id, links.RESET, RESET_GOOD_FOR)
    body = (
        f"Hello {cipher.open(tables.member.c.name, member_id, row.name)},\n\n"
        f"you said that somebody else was in your account in “{here.name}”. Nobody is signed in to it any more, and "
        "its password no longer works.\n\n"
        f"Open this link to choose a new password:\n\n{address}/reset/{token}\n\n"
        f"The link works once, within {RESET_GOOD_FOR.seconds // 60} minutes. After that, ask for another one under "
        f"“Forgotten your password?” on the page where you sign in. Choose a password that you use nowhere else.\n"
    )
    recipient = cipher.open(tables.member.c.email, member_id, row.email)
    outbox.queue(conn, cipher, recipient, f"Choose a new password for {here.name}", body)
