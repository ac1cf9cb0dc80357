"""Step-up: what matters most is done only by somebody who has proved in the last ten minutes who it is.

A route says so with `@fresh`. Whoever comes too late is asked on `/step-up` and goes on from there. A form that was
sent too late is kept meanwhile, sealed and for its sender alone, and shown again to be sent: nothing is typed twice.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from flask import Response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from ...config.errors import VerificationError
from ...tenant_schema import tables
from ...tenant_schema.ids import new_uuid7
from ...tenant_schema.queries import challenges as queries
from ..keys.tokens import hash_of
from . import challenges, tenant
from .member import CurrentMember, current

FRESH_FOR = timedelta(minutes=10)
KEPT_FOR = timedelta(minutes=30)
MOST_KEPT = 32 * 1024  # bytes of a form that is kept
PURPOSE = "step_up"
FRESH = "strongroom_fresh"  # attribute of a view that asks for a recent proof

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class KeptForm:
    """A form that was sent too late: where it goes, what was typed, and the page it stood on."""

    action: str
    fields: list[tuple[str, str]]
    page: str


def fresh(view: View) -> View:
    """Decorate a route that runs only within ten minutes of a sign-in or step-up. Goes beneath `@requires(…)`."""

    @wraps(view)
    def guarded(*arguments: Any, **named: Any) -> Any:
        if is_fresh(current(), datetime.now(UTC)):
            return view(*arguments, **named)
        return ask_again()

    setattr(guarded, FRESH, True)
    return cast(View, guarded)


def is_fresh(member: CurrentMember, now: datetime) -> bool:
    """Whether the member has proved recently enough who it is."""
    return now - member.proved_at <= FRESH_FOR


def ask_again() -> ResponseReturnValue:
    """The answer to who comes too late: to the page that asks, and from there back to what was to be done."""
    if request.method == "GET":
        return _go_to(
            url_for("proving.step_up", next=page_before() if _is_partial() else request.full_path.rstrip("?"))
        )
    token = _keep_form(current(), datetime.now(UTC))
    return _go_to(url_for("proving.step_up", kept=token, next=None if token else page_before()))


def kept_form(member: CurrentMember, token: str, now: datetime) -> KeptForm | None:
    """The form that was kept under `token` for this member, if it still is."""
    row = queries.find(tenant.connection(), hash_of(token), PURPOSE, now)
    if row is None or row.member_id != member.id or row.content is None:
        return None
    try:
        known = json.loads(tenant.cipher().open(tables.challenge.c.content, row.id, row.content))
    except VerificationError:  # the token is that of a passkey's challenge
        return None
    return KeptForm(known["action"], [(name, value) for name, value in known["fields"]], known["page"])


def page_before() -> str:
    """The page of ours that the request comes from."""
    came_from = urlsplit(request.headers.get("HX-Current-URL") or request.referrer or "")
    if came_from.netloc != request.host or not came_from.path.startswith("/"):
        return "/"
    return came_from.path + (f"?{came_from.query}" if came_from.query else "")


def _keep_form(member: CurrentMember, now: datetime) -> str | None:
    """Keep the request's form; None where it carries files, or more than is kept."""
    fields = [(name, value) for name, value in request.form.items(multi=True) if _is_kept(name)]
    action = request.full_path.rstrip("?")
    plain = json.dumps({"action": action, "fields": fields, "page": page_before()})
    if request.files or len(plain) > MOST_KEPT:
        return None
    row_id = new_uuid7()
    content = tenant.cipher().seal(tables.challenge.c.content, row_id, plain)
    return challenges.begin(PURPOSE, member.id, now, KEPT_FOR, row_id=row_id, content=content)


def _is_kept(name: str) -> bool:
    """Secrets are typed anew, and the token against forged forms is made anew."""
    return name != "csrf_token" and "password" not in name


def _is_partial() -> bool:
    return request.headers.get("HX-Request") == "true"


def _go_to(address: str) -> ResponseReturnValue:
    return Response(status=204, headers={"HX-Redirect": address}) if _is_partial() else redirect(address, 303)
