"""Adding, removing and resetting second factors, and checking codes. Nothing here commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ....config.errors import CallError, NotFoundError, RefusedError
from ....tenant_schema import tables
from ....tenant_schema.ids import new_uuid7
from ....tenant_schema.queries import audit, factors, passkeys
from ....tenant_schema.queries import sessions as session_queries
from ...web import enrolment, tenant
from ...web.member import CurrentMember
from ..alerts import Alert, tell
from ..members import rules
from . import ceremony, codes, totp

LONGEST_NAME = 60
WRONG_CODE = "This code is not right. Wait for the next one and check that the clock of your phone is right."


@dataclass(frozen=True, slots=True)
class PasskeyLine:
    """A passkey as its member sees it."""

    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The second factors of a member. `app_since` is None without an authenticator app."""

    app_since: datetime | None
    passkeys: Sequence[PasskeyLine]
    codes_left: int
    required: bool

    @property
    def protected(self) -> bool:
        """Whether a password alone is not enough."""
        return self.app_since is not None or bool(self.passkeys)

    @property
    def few_codes(self) -> bool:
        """Whether it is time to make new recovery codes."""
        return self.protected and self.codes_left <= codes.FEW

    @property
    def ways(self) -> int:
        """How many second factors there are; the recovery codes are none."""
        return len(self.passkeys) + (self.app_since is not None)


@dataclass(frozen=True, slots=True)
class Setup:
    """An authenticator app that is being set up."""

    secret: str
    address: str
    picture: str


def overview(member: CurrentMember) -> Overview:
    """What the member's security page shows."""
    conn = tenant.connection()
    app = factors.totp_of(conn, member.id)
    return Overview(
        app_since=app.confirmed_at if app else None,
        passkeys=[_line(row) for row in passkeys.of_member(conn, member.id)],
        codes_left=factors.codes_left(conn, member.id),
        required=enrolment.is_required(member),
    )


def begin_app(member: CurrentMember) -> None:
    """Make a secret for an authenticator app, in the place of one that was never confirmed. Raises `RefusedError`."""
    row_id = new_uuid7()
    secret = tenant.cipher().seal(tables.totp.c.secret, row_id, totp.new_secret())
    factors.begin_totp(tenant.connection(), totp_id=row_id, member_id=member.id, secret=secret)


def app_in_setup(member: CurrentMember) -> Setup | None:
    """The authenticator app that waits for its first code; None where there is none."""
    row = factors.totp_of(tenant.connection(), member.id)
    if row is None or row.confirmed_at is not None:
        return None
    secret = _secret(row)
    uri = totp.address(secret, member.email, tenant.tenant().name)
    return Setup(totp.grouped(secret), uri, totp.picture(uri))


def confirm_app(member: CurrentMember, typed: str, now: datetime) -> list[str] | None:
    """Let the app count from now on, if `typed` is its code. Returns recovery codes where the member had none.

    Raises `CallError` for a wrong code, `RefusedError` where no app is being set up.
    """
    conn = tenant.connection()
    row = factors.totp_of(conn, member.id)
    if row is None or row.confirmed_at is not None:
        raise RefusedError("No authenticator app is being set up; begin again.")
    counter = totp.matching_counter(_secret(row), typed, now, None)
    if counter is None:
        raise CallError(WRONG_CODE, "code")
    if not factors.confirm_totp(conn, row.id, counter, now):
        raise RefusedError("This app is set up already.")
    return _added(member, "totp.added", row.id, "authenticator app")


def remove_app(member: CurrentMember) -> None:
    """Take the authenticator app away. Raises `RefusedError`."""
    conn = tenant.connection()
    row = factors.totp_of(conn, member.id)
    if row is None or row.confirmed_at is None:
        raise RefusedError("There is no authenticator app to remove.")
    factors.remove_totp(conn, member.id)
    _removed(member, "totp.removed", row.id, "authenticator app")


def add_passkey(member: CurrentMember, answer: str, name: str, now: datetime) -> list[str] | None:
    """Keep the passkey that the browser has made. Returns recovery codes where the member had none.

    Raises `CallError` where the answer or the name will not do, `RefusedError` for a passkey that is in use already.
    """
    name = check_passkey_name(name)
    made = ceremony.created(member, answer, now)
    if made is None:
        raise CallError("The passkey could not be checked. Nothing was added; please try again.")
    conn, row_id = tenant.connection(), new_uuid7()
    row = {
        "id": row_id,
        "member_id": member.id,
        "credential_id": made.credential_id,
        "public_key": made.credential_public_key,
        "sign_count": made.sign_count,
        "transports": ceremony.transports_of(answer),
        "backed_up": made.credential_backed_up,
        "name": tenant.cipher().seal(tables.passkey.c.name, row_id, name),
    }
    passkeys.add(conn, row)
    return _added(member, "passkey.added", row_id, f"passkey “{name}”")


def rename_passkey(member: CurrentMember, passkey_id: UUID, name: str) -> None:
    """Call a passkey otherwise. Raises `CallError`, `NotFoundError`."""
    conn = tenant.connection()
    if passkey_id not in [one.id for one in passkeys.of_member(conn, member.id)]:
        raise NotFoundError("There is no such passkey.")
    name = check_passkey_name(name)
    passkeys.rename(conn, passkey_id, member.id, tenant.cipher().seal(tables.passkey.c.name, passkey_id, name))
    audit.record(conn, member.id, "passkey.renamed", "passkey", passkey_id)


def remove_passkey(member: CurrentMember, passkey_id: UUID) -> None:
    """Take a passkey away. Raises `NotFoundError`."""
    conn = tenant.connection()
    name = next((one.name for one in overview(member).passkeys if one.id == passkey_id), "")
    passkeys.remove(conn, passkey_id, member.id)
    _removed(member, "passkey.removed", passkey_id, f"passkey “{name}”")


def check_passkey_name(name: str) -> str:
    """The name of a passkey without surrounding space. Raises `CallError`."""
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise CallError(f"Give the passkey a name of at most {LONGEST_NAME} characters.", "name")
    return name


def new_recovery_codes(member: CurrentMember) -> list[str]:
    """Ten fresh recovery codes; all earlier ones stop to work. Raises `RefusedError` where they would be of no use."""
    conn = tenant.connection()
    if not factors.has_second_factor(conn, member.id):
        raise RefusedError("Set up an authenticator app or a passkey first: recovery codes stand in for it.")
    tell(Alert.FACTOR_ADDED, member.id, which="ten new recovery codes")
    return _new_codes(member)


def accept_code(member_id: UUID, typed: str, now: datetime) -> str | None:
    """Use up a code of the app or a recovery code; return which (`totp`, `recovery_code`), None for a wrong one."""
    plain = codes.read_code(typed)
    if plain is not None:
        return "recovery_code" if _accept_recovery_code(member_id, plain, now) else None
    conn = tenant.connection()
    app = factors.totp_of(conn, member_id)
    if app is None or app.confirmed_at is None:
        return None
    counter = totp.matching_counter(_secret(app), typed, now, app.last_counter)
    return "totp" if counter is not None and factors.accept_counter(conn, app.id, counter) else None


def reset_factors(actor: CurrentMember, target_id: UUID) -> None:
    """Take all second factors of another member away and end their sessions; the member is told by mail.

    Raises `RefusedError` for oneself and where there is none, `ForbiddenError` out of reach, `NotFoundError`.
    """
    conn = tenant.connection()
    if target_id == actor.id:
        raise RefusedError("Your own second factor can only be reset by somebody else; use a recovery code.")
    rules.target_of(rules.locked(actor, target_id), actor, target_id, None)
    if not factors.has_second_factor(conn, target_id):
        raise RefusedError("This member has no second factor.")
    factors.remove_every(conn, target_id)
    session_queries.revoke_all(conn, target_id)
    audit.record(conn, actor.id, "member.factors_reset", "member", target_id)
    tell(Alert.FACTORS_RESET, target_id, by=actor.name)


def _accept_recovery_code(member_id: UUID, plain: str, now: datetime) -> bool:
    conn = tenant.connection()
    if not factors.use_code(conn, member_id, codes.hash_of(member_id, plain), now):
        return False
    left = factors.codes_left(conn, member_id)
    audit.record(conn, member_id, "recovery_code.used", "member", member_id, {"left": left})
    tell(Alert.RECOVERY_CODE_USED, member_id, codes_left=left)
    return True


def _added(member: CurrentMember, action: str, row_id: UUID, which: str) -> list[str] | None:
    conn = tenant.connection()
    audit.record(conn, member.id, action, action.partition(".")[0], row_id)
    tell(Alert.FACTOR_ADDED, member.id, which=which)
    return None if factors.codes_left(conn, member.id) else _new_codes(member)


def _removed(member: CurrentMember, action: str, row_id: UUID, which: str) -> None:
    """Recovery codes go with the last factor: they stand in for it, and open nothing without."""
    conn = tenant.connection()
    if not factors.has_second_factor(conn, member.id):
        factors.remove_codes(conn, member.id)
    audit.record(conn, member.id, action, action.partition(".")[0], row_id)
    tell(Alert.FACTOR_REMOVED, member.id, which=which)


def _new_codes(member: CurrentMember) -> list[str]:
    conn, fresh = tenant.connection(), codes.new_codes()
    hashes = [(new_uuid7(), codes.hash_of(member.id, codes.read_code(one) or "")) for one in fresh]
    factors.replace_codes(conn, member.id, hashes)
    audit.record(conn, member.id, "recovery_codes.made", "member", member.id)
    return fresh


def _secret(row: factors.Totp) -> str:
    return tenant.cipher().open(tables.totp.c.secret, row.id, row.secret)


def _line(row: passkeys.Passkey) -> PasskeyLine:
    name = tenant.cipher().open(tables.passkey.c.name, row.id, row.name)
    return PasskeyLine(row.id, name, row.created_at, row.last_used_at)
