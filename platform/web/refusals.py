"""What was refused, noted in the workspace's audit log: signs of an attack, failed sign-ins, and what a role forbids.

A browser sends a `__Host-` cookie to no other host, a link leads to one host, an id cannot be guessed. So a session
that was never begun here, a link that was never sent from here and an id that names nothing here do not come by
accident, or rarely: a draft deleted in another tab, a workspace restored from a backup. Whose they are cannot be told:
nothing of one workspace is kept where another could look it up. They are unknown, and are noted as that.

Each event is committed apart from the refused request, which is rolled back. It holds ids and the route's name, no
other word of the request's, so that nobody writes into the log what they like; and only so many are noted for one
address, one account and one workspace, so that nobody fills it.

A failed sign-in is noted whether or not somebody has the address, by the same statements: the time tells nothing.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast
from uuid import UUID

from flask import Flask, Response, current_app, g, request
from flask_wtf.csrf import CSRFError

from ...config.errors import ForbiddenError, NotFoundError, StrongroomError, UnknownHostError
from ...tenant_schema.queries import audit
from . import limits, tenant
from .member import signed_in
from .permissions import NEEDS

UNKNOWN_SESSION: Final = "security.unknown_session"
UNKNOWN_TOKEN: Final = "security.unknown_token"  # of the API
UNKNOWN_LINK: Final = "security.unknown_link"
UNKNOWN_ID: Final = "security.unknown_id"
FORGED_FORM: Final = "security.forged_form"  # its token or cookie is not of this browser on this host
FAILED_SIGN_IN: Final = "sign_in.failed"
FORBIDDEN: Final = "access.refused"  # to a member, by role or rule

PER_ADDRESS: Final = "10 per minute"
PER_WORKSPACE: Final = "60 per minute"
PER_ACCOUNT: Final = "30 per hour"  # of the last two, and of each of them
PER_WORKSPACE_HOURLY: Final = "300 per hour"
MOST_IDS: Final = 5  # of one request
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One sign in one request. `ids` are those presented, spelled by this program.

    `account`: whose tries it counts with, `about`: the member it is, where somebody has the account.
    """

    action: str
    ids: tuple[str, ...] = ()
    account: str = ""
    about: UUID | None = None


def note(action: str, ids: Iterable[UUID] = ()) -> None:
    """Put a sign down, to be recorded when the request has ended. The same one counts once in a request."""
    refusal = Refusal(action, tuple(sorted({str(one) for one in ids}))[:MOST_IDS])
    if refusal not in _noted():
        _noted().append(refusal)


def note_unknown(presented: Iterable[UUID | str], known: Iterable[UUID]) -> None:
    """Put down those well-formed ids that are not among `known`; text that is no id says nothing."""
    unknown = set(_ids_in(str(one) for one in presented)) - set(known)
    if unknown:
        note(UNKNOWN_ID, unknown)


def note_sign_in(account: str, about: UUID | None) -> None:
    """Put a failed sign-in down. `account`: what its tries are counted by, `about`: the member it names, if any."""
    _noted().append(Refusal(FAILED_SIGN_IN, account=account, about=about))


def install(app: Flask) -> None:
    """Record what was noted. To be installed before `tenant`: Flask ends a request in reverse order."""

    @app.after_request
    def record(response: Response) -> Response:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        _note_error(g.get("error"))
        if _noted():
            try:
                _record(_noted())
            except StrongroomError:
                pass  # no workspace answers here (any more), or its database is busy: nowhere to write
            except Exception:  # whatever it is, the request is answered
                log.warning("a refusal could not be recorded", exc_info=True)
        return response


def _noted() -> list[Refusal]:
    return cast(list[Refusal], g.setdefault("refusals", []))


def _note_error(error: Exception | None) -> None:
    """What the error that the request ended with says about what it presented."""
    if isinstance(error, CSRFError) and ("csrf_token" in request.form or request.cookies):
        note(FORGED_FORM)
    elif isinstance(error, NotFoundError) and not isinstance(error, UnknownHostError) and tenant.has_tenant():
        presented = [*(request.view_args or {}).values(), *_values()]
        note_unknown(map(str, presented), ())
    elif isinstance(error, ForbiddenError) and _is_for_members() and (member := signed_in()):
        _noted().append(Refusal(FORBIDDEN, account=str(member.id)))


def _is_for_members() -> bool:
    """Whether the gates have looked who it is."""
    return getattr(current_app.view_functions.get(request.endpoint or ""), NEEDS, None) is not None


def _values() -> list[str]:
    return [text for values in (request.args, request.form) for _, many in values.lists() for text in many]


def _ids_in(texts: Iterable[str]) -> list[UUID]:
    found: list[UUID] = []
    for text in texts:
        try:
            found.append(UUID(text))
        except ValueError:
            continue
    return found


def _record(noted: list[Refusal]) -> None:
    here = tenant.tenant() if tenant.has_tenant() else tenant.resolve()  # a forged form is refused before the gates
    rest = [one for one in noted if _may_be_recorded(here.id, one)]
    if not rest:
        return
    member = signed_in()
    with tenant.apart() as conn:
        for one in rest:
            detail: dict[str, object] = {"route": request.endpoint, **({"ids": list(one.ids)} if one.ids else {})}
            kind = "member" if one.about else None
            audit.record(conn, member.id if member else None, one.action, kind, one.about, detail)


def _may_be_recorded(tenant_id: str, refusal: Refusal) -> bool:
    """The address first, so that one alone cannot use up what is noted of all."""
    if refusal.account:
        key = ("refusal", tenant_id, refusal.action)
        return (
            limits.within(PER_ADDRESS, *key, limits.address())
            and limits.within(PER_ACCOUNT, *key, "account", refusal.account)
            and limits.within(PER_WORKSPACE_HOURLY, *key)
        )
    return limits.within(PER_ADDRESS, "refusal", tenant_id, limits.address()) and limits.within(
        PER_WORKSPACE, "refusal", tenant_id
    )
