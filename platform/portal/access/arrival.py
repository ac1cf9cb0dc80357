"""The end of every way to sign in: the session begins, is written down, and is told to the member if it is unusual."""

from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from uuid import UUID

from ....tenant_schema.queries import audit, members
from ....tenant_schema.queries import devices as device_queries
from ....tenant_schema.queries.sessions import Origin
from ...web import places, sessions, tenant
from ..alerts import Alert, tell
from . import devices


def arrive(member_id: UUID, method: str) -> None:
    """Begin the session of a member who has proved who it is. `method`: one of `SIGN_IN_METHODS`.

    Tells the member of a device or a country that they have not signed in from before; not the very first time.
    """
    conn, now, country = tenant.connection(), datetime.now(UTC), places.country()
    before = members.by_id(conn, member_id).last_seen_at
    known_countries = device_queries.countries(conn, member_id)
    device = devices.recognise(member_id, country, now)
    sessions.start(member_id, method, Origin(country, device.id))
    members.seen(conn, member_id, now)
    detail: dict[str, object] = {"method": method, "new_device": device.new}
    audit.record(conn, member_id, "session.started", "member", member_id, detail)
    if before is not None:
        _tell(member_id, new_device=device.new, new_country=is_new_country(country, known_countries))


def is_new_country(country: str | None, known: AbstractSet[str]) -> bool:
    """Whether `country` is another than all that are known; where none is known, nothing can be said."""
    return country is not None and bool(known) and country not in known


def _tell(member_id: UUID, *, new_device: bool, new_country: bool) -> None:
    if new_device:
        tell(Alert.NEW_DEVICE, member_id, also=Alert.NEW_COUNTRY if new_country else None)
    elif new_country:
        tell(Alert.NEW_COUNTRY, member_id)
