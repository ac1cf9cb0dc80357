"""The gate of plans that require a second factor: without one, owners and admins reach only its enrolment."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from ...tenant_schema.queries import factors
from . import tenant
from .member import CurrentMember
from .permissions import Role

BOUND = (Role.OWNER, Role.ADMIN)
OPEN = "strongroom_before_enrolment"  # attribute of a view that answers before there is a second factor

View = TypeVar("View", bound=Callable[..., Any])


def before_enrolment(view: View) -> View:
    """Decorate a route that a member reaches who must set up a second factor first. Beneath `@blueprint.get(…)`."""
    setattr(view, OPEN, True)
    return view


def is_required(member: CurrentMember) -> bool:
    """Whether this member may not be without a second factor: by the workspace's plan and the role."""
    return tenant.tenant().requires_second_factor and member.role in BOUND


def must_enrol(member: CurrentMember, app: Flask, endpoint: str) -> bool:
    """Whether this member is to set up a second factor before `endpoint` answers."""
    if not is_required(member) or getattr(app.view_functions[endpoint], OPEN, False):
        return False
    return not factors.has_second_factor(tenant.connection(), member.id)


def ask_to_enrol() -> ResponseReturnValue:
    """To the page that says why, and how."""
    address = url_for("factors.required")
    if request.headers.get("HX-Request") == "true":
        return Response(status=204, headers={"HX-Redirect": address})
    return redirect(address, 303)
