"""Signing up on the public site. Writes a pending workspace and its job; a worker builds it."""

from sqlalchemy import Connection

from ....config.errors import CallError, NotFoundError
from ...control.platform import Platform
from ...tenants import queries
from ...tenants.records import Tenant
from ...tenants.requests import request_tenant
from ...tenants.slugs import check_slug


def sign_up(platform: Platform, name: str, slug: str, email: str) -> Tenant:
    """Ask for a workspace. Raises `CallError` that names the field, `RefusedError` for an address that is taken."""
    with platform.control.begin() as conn:
        return request_tenant(conn, platform.settings, platform.keys, slug=slug, name=name, owner_email=email)


def why_not(conn: Connection, slug: str) -> str | None:
    """Why a new workspace cannot have this address, in one sentence; None where it can."""
    try:
        check_slug(slug)
    except CallError as error:
        return str(error)
    return "This address is taken." if exists(conn, slug) else None


def exists(conn: Connection, slug: str) -> bool:
    """Whether a workspace answers, or will answer, at this address; never one that is not plain ASCII in one word."""
    if not (slug.isascii() and slug.isprintable()):  # PostgreSQL refuses a NUL
        return False
    try:
        queries.by_slug(conn, slug)
    except NotFoundError:
        return False
    return True
