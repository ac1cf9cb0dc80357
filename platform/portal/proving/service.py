"""What counts as a proof of who somebody is, at the second half of a sign-in and at a step-up. Nothing here commits."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ....tenant_schema.queries import audit, factors, passkeys
from ...web import limits, tenant
from ...web.member import CurrentMember
from ..access import service as access
from ..alerts import Alert, tell
from ..factors import ceremony, codes
from ..factors import service as enrolled

# Of one member. What can be guessed, a password or six digits, has to wait longer with each try; a passkey or a
# recovery code cannot, and its owner is not kept out by somebody who guesses.
TRIES = ("5 per 5 minutes", "15 per hour", "30 per day")
UNGUESSABLE = ("20 per 5 minutes",)


@dataclass(frozen=True, slots=True)
class Ways:
    """What a member has to prove with, besides the password."""

    app: bool
    passkeys: bool
    codes: bool

    @property
    def any(self) -> bool:
        """Whether a password alone is not enough."""
        return self.app or self.passkeys


def ways_of(member_id: UUID) -> Ways:
    """What this member has to prove with."""
    conn = tenant.connection()
    app = factors.totp_of(conn, member_id)
    return Ways(
        app=app is not None and app.confirmed_at is not None,
        passkeys=bool(passkeys.of_member(conn, member_id)),
        codes=factors.codes_left(conn, member_id) > 0,
    )


def count_tries(what: str, member_id: UUID, typed: str, answer: str, password: str = "") -> None:
    """Count a try of a member to prove with what is `typed`, or a passkey's `answer`. Raises `TooManyRequests`."""
    guessable = password or not (answer or codes.read_code(typed))
    for limit in TRIES if guessable else UNGUESSABLE:
        limits.hit(limit, what, tenant.tenant().id, str(member_id))


def forget_tries(what: str, member_id: UUID) -> None:
    """The right answer came."""
    for limit in (*TRIES, *UNGUESSABLE):
        limits.forget(limit, what, tenant.tenant().id, str(member_id))


def second_factor(member_id: UUID, typed: str, answer: str, now: datetime) -> str | None:
    """How the member has proved the second factor, one of `SIGN_IN_METHODS`; None where nothing of it is right.

    `typed`: a code of the app or a recovery code; `answer`: what a passkey says.
    """
    if answer:
        return "passkey_second" if ceremony.signed("passkey_second", member_id, answer, now) else None
    return enrolled.accept_code(member_id, typed, now)


def note_failure(member_id: UUID, failures: int) -> None:
    """Write down that somebody knows the password and not the second factor, and tell the member the first time."""
    audit.record(tenant.connection(), member_id, "second_factor.failed", "member", member_id, {"try": failures})
    if failures == 1:
        tell(Alert.SECOND_FACTOR_FAILED, member_id)


def is_proved(member: CurrentMember, password: str, typed: str, answer: str, now: datetime) -> bool:
    """Whether a member who is signed in has proved once more who it is.

    By a passkey that has verified the person; else by the password, and the second factor where there is one.
    """
    proof = ceremony.signed("step_up", member.id, answer, now) if answer else None
    if proof and proof.verified:
        return True
    if access.check_credentials(member.email, password) != member.id:
        return False
    if proof or not factors.has_second_factor(tenant.connection(), member.id):
        return True
    return enrolled.accept_code(member.id, typed, now) is not None
