"""Who the token speaks for, the members, and the categories."""

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Response, jsonify

from ...tenant_schema.queries import categories, settings
from ..portal.members import service
from ..web import tenant
from ..web.member import current
from ..web.permissions import Permission
from . import pages, schemas
from .gate import asks, token
from .parsing import ApiBlueprint, Nothing
from .scopes import ApiScope

blueprint = ApiBlueprint("workspace", __name__, url_prefix="/api/v1", description="The workspace and its people.")
MEMBER, CATEGORY, ME = schemas.Member(), schemas.Category(), schemas.Me()


@blueprint.route("/me", methods=["GET"])
@blueprint.arguments(Nothing, location="query")
@blueprint.response(200, schemas.Me)
@asks(Permission.USE, None)
def me(_query: object) -> Response:
    """Who am I?

    The member that the token speaks for, the workspace, and what the token may do. Needs no scope.
    """
    member, presented, here = current(), token(), tenant.tenant()
    workspace = {
        "name": here.name,
        "address": tenant.platform().settings.workspace_url(here.slug),
        "base_currency": settings.base_currency(tenant.connection()),
    }
    facts = {"id": presented.id, "scopes": sorted(presented.scopes), "expires_at": presented.expires_at}
    said = {"id": member.id, "name": member.name, "email": member.email, "role": member.role.value}
    return jsonify(schemas.dumped(ME, said | {"workspace": workspace, "token": facts}))


@blueprint.route("/members", methods=["GET"])
@blueprint.arguments(schemas.PageQuery, location="query")
@blueprint.response(200, schemas.page_of(schemas.Member))
@asks(Permission.USE, ApiScope.MEMBERS_READ)
def members(wanted: dict[str, Any]) -> Response:
    """List members.

    Everybody who may sign in, longest member first.
    """
    after = pages.read_cursor(wanted.get("cursor"), datetime.fromisoformat)
    limit: int = wanted["limit"]
    people = sorted(service.people(current()), key=lambda one: (one.created_at, one.id))
    rest = [one for one in people if after is None or (one.created_at, one.id) > after]
    last = (rest[limit - 1].created_at, rest[limit - 1].id) if len(rest) > limit else None
    return pages.respond([_member(one) for one in rest[:limit]], last)


@blueprint.route("/members/<uuid:member_id>", methods=["GET"])
@blueprint.arguments(Nothing, location="query")
@blueprint.response(200, schemas.Member)
@asks(Permission.USE, ApiScope.MEMBERS_READ)
def member(_query: object, member_id: UUID) -> Response:
    """Get a member."""
    return jsonify(_member(service.person(member_id, current())))


@blueprint.route("/categories", methods=["GET"])
@blueprint.arguments(Nothing, location="query")
@blueprint.response(200, schemas.page_of(schemas.Category))
@asks(Permission.USE, ApiScope.EXPENSES_READ)
def list_categories(_query: object) -> Response:
    """List categories.

    All of them on one page, in the order in which they are offered.
    """
    return pages.respond([schemas.dumped(CATEGORY, one) for one in categories.list_all(tenant.connection())], None)


def _member(one: service.Person) -> dict[str, Any]:
    return schemas.dumped(MEMBER, one) | {"role": one.role.value}
