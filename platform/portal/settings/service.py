"""Settings of the workspace and of the signed-in member. Nothing here commits."""

from collections.abc import Iterable

from babel import Locale
from babel.core import get_global
from babel.numbers import list_currencies
from sqlalchemy import Connection

from ....config.errors import CallError
from ....tenant_schema import tables
from ....tenant_schema.queries import audit, members, sessions
from ....tenant_schema.queries import settings as settings_queries
from ...protection.policy import DAY, Policy
from ...tenants import queries as tenants
from ...tenants.slugs import check_name as check_workspace_name
from ...web import limits, tenant
from ...web.formats import plural
from ...web.member import CurrentMember
from ..access import links
from ..access import service as access
from ..access.passwords import check_password
from ..alerts import Alert, tell

MAIN_CURRENCIES = (
    *("GBP", "EUR", "USD", "CHF", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON", "BGN", "TRY", "UAH", "ISK"),
    *("CAD", "AUD", "NZD", "JPY", "CNY", "HKD", "SGD", "INR", "ZAR", "AED"),
)


def rename(member: CurrentMember, name: str) -> None:
    """Change the member's own name. Raises `CallError`."""
    name = access.check_name(name)
    sealed = tenant.cipher().seal(tables.member.c.name, member.id, name)
    members.set_name(tenant.connection(), member.id, sealed)
    audit.record(tenant.connection(), member.id, "member.renamed", "member", member.id)


def change_password(member: CurrentMember, old: str, new: str) -> None:
    """Change the member's own password and end the other sessions. Raises `CallError`."""
    conn = tenant.connection()
    stored = members.by_id(conn, member.id).password_hash
    if stored is None or not access.fits(old, stored):
        raise CallError("This is not your password.", "old_password")
    limits.forget_growing("password", tenant.tenant().id, str(member.id))  # also where the new one will not do
    check_password(new, member.email, tenant.tenant().name, member.name)
    if not members.replace_password_hash(conn, member.id, stored, access.hash_new(new)):
        raise CallError("This is no longer your password.", "old_password")
    sessions.revoke_all(conn, member.id, keep=member.session_id)
    links.end(conn, member.id, *links.ONE_AT_A_TIME)
    audit.record(conn, member.id, "member.password_changed", "member", member.id)
    tell(Alert.PASSWORD_CHANGED, member.id)


def currencies() -> list[tuple[str, str]]:
    """The currencies a workspace may count in, the common ones of our customers first, as (code, “EUR – Euro”)."""
    names = Locale("en", "GB").currencies
    rest = sorted(set(list_currencies("en_GB")) & set(_current_codes()) - set(MAIN_CURRENCIES))
    return [(code, f"{code} – {names[code]}") for code in (*MAIN_CURRENCIES, *rest)]


def save_workspace(
    control: Connection, member: CurrentMember, name: str, currency: str, *, self_approval: bool
) -> None:
    """Change the workspace's name, base currency, and whether who works alone approves their own expenses.

    `control` is a transaction of the control database. Raises `CallError`.
    """
    name = check_workspace_name(name)
    if currency not in dict(currencies()):
        raise CallError("Choose a currency from the list.", "currency")
    conn = tenant.connection()
    settings_queries.put(conn, settings_queries.BASE_CURRENCY, currency)
    settings_queries.put(conn, settings_queries.SELF_APPROVAL, self_approval)
    if name != tenant.tenant().name:
        tenants.set_name(control, tenant.tenant().id, name)
    audit.record(conn, member.id, "workspace.changed", detail={"currency": currency, "self_approval": self_approval})


def how_often(policy: Policy) -> str:
    """`every 6 hours`, and at which hours of the day where the plan says so."""
    count = int(policy.interval.total_seconds() // 3600)
    hours = plural(count, "hour") if count > 1 else "hour"
    if policy.window is None:
        return f"every {hours}"
    window = f"between {policy.window.start:02}:00 and {policy.window.end:02}:00 UTC"
    return f"daily {window}" if policy.longest_gap >= DAY else f"every {hours} {window}"


def how_long(policy: Policy) -> str:
    """`30 days`, `30 days, then one a week for 8 weeks`: how long backups are kept."""
    more = [
        f"one a {name} for {plural(count, name)}"
        for name, count in (("week", policy.weekly), ("month", policy.monthly), ("year", policy.yearly))
        if count
    ]
    days = plural(policy.days, "day")
    return f"{days}, then {' and '.join(more)}" if more else days


def _current_codes() -> Iterable[str]:
    territories = get_global("territory_currencies")
    return {code for used in territories.values() for code, _start, end, tender in used if end is None and tender}
