"""Queues the mail about an alert with the change that it tells of."""

from uuid import UUID

from flask import request

from ...web import limits, places, tenant
from ...web.devices import device_of
from .kinds import Alert
from .letter import where
from .posting import post

PER_MEMBER = "3 per hour"  # of what a stranger can cause as often as they like
_OFTEN = frozenset({Alert.SECOND_FACTOR_FAILED})


def tell(kind: Alert, member_id: UUID, *, also: Alert | None = None, **facts: object) -> None:
    """Queue one mail to the member in this request's transaction; it is delivered when that is committed.

    It says what happened, when, from which address, country and device, and has the link “this was not me”. `facts`
    are further lines: `which="passkey “Phone”"` says what was added or removed, `by="Ada Lovelace"` that somebody
    else did it (whose address and device are then left out). `also`: `NEW_COUNTRY`, told together with `NEW_DEVICE`.
    """
    here = tenant.tenant()
    if kind in _OFTEN and not limits.within(PER_MEMBER, "alert", here.id, kind, str(member_id)):
        return
    post(
        tenant.connection(),
        tenant.cipher(),
        tenant.platform().settings,
        here,
        member_id=member_id,
        kind=kind,
        facts=_facts(facts),
        also=also,
    )


def _facts(given: dict[str, object]) -> dict[str, str]:
    facts = {key: " ".join(str(value).split()) for key, value in given.items() if value is not None}
    if "by" not in facts:
        facts.setdefault("where", where(request.remote_addr, places.country_name(places.country())))
        facts.setdefault("device", device_of(request.user_agent.string or ""))
    return facts
