"""Asking for a new workspace: the row, its keys and the job that builds it, in one transaction of the control database.

Stands here and not in provisioning, because the public sign-up page asks too, and the portal never provisions.
"""

import base64
import hmac
from uuid import UUID

from sqlalchemy import Connection

from ...config.errors import NotFoundError
from ...config.settings import Settings
from ..jobs.app import defer_in
from ..keys import KeyStore, normalise_email
from ..keys.records import TenantKeys
from ..keys.sealing import Sealer
from ..keys.tokens import hash_of
from ..servers import queries as servers
from . import queries
from .records import Tenant
from .slugs import check_name, check_slug

PROVISION = "provision_tenant"  # the task, known to the worker
DEFAULT_PLAN = "free"
_PLACE = ("tenant", "owner_email")


def request_tenant(
    conn: Connection,
    settings: Settings,
    keys: KeyStore,
    *,
    slug: str,
    name: str,
    owner_email: str,
    plan: str = DEFAULT_PLAN,
    region: str | None = None,
) -> Tenant:
    """Write a pending tenant and queue its provisioning; both happen when `conn` is committed.

    Raises `CallError` for a bad slug, name, e-mail address, plan or region, `RefusedError` for a slug that is taken,
    `UnavailableError` when no server of the region takes workspaces.
    """
    made = register_tenant(
        conn, keys, slug=slug, name=name, owner_email=owner_email, plan=plan, region=region or settings.region
    )
    defer_in(conn, PROVISION, lock=f"tenant:{made.id}", queueing_lock=f"{PROVISION}:{made.id}", tenant_id=made.id)
    return made


def register_tenant(
    conn: Connection, keys: KeyStore, *, slug: str, name: str, owner_email: str, plan: str, region: str
) -> Tenant:
    """Write a pending tenant without a job, for a caller who provisions at once. Raises as `request_tenant` does."""
    slug, name, owner_email = check_slug(slug), check_name(name), normalise_email(owner_email)
    made = queries.insert_pending(conn, slug=slug, name=name, plan_id=plan, region_id=region)
    servers.choose(conn, made.region)  # a region without a server is said now, not by a job that fails later
    queries.set_owner_email(conn, made.id, seal_owner_email(keys.create_tenant(made.id), owner_email))
    return queries.by_id(conn, made.id)


def seal_owner_email(keys: TenantKeys, email: str) -> bytes:
    """The owner's address as the control database keeps it until the owner is invited."""
    return Sealer(keys, "control").seal(email.encode(), *_PLACE)


def owner_email(conn: Connection, keys: KeyStore, tenant_id: str) -> str:
    """The address of a new workspace's owner. Raises `NotFoundError` when it is no longer kept."""
    sealed = queries.owner_email(conn, tenant_id)
    if sealed is None:
        raise NotFoundError("The address of this workspace's owner is no longer kept.")
    return Sealer(keys.tenant(tenant_id), "control").open(sealed, "tenant.owner_email", *_PLACE).decode()


def invitation_token(keys: KeyStore, tenant_id: str, again: UUID | None = None) -> str:
    """The token of the owner's invitation: the same each time, so that the link can be printed before it works.

    Nobody without the platform's signing key can make it; the tenant's database keeps its SHA-256 only. `again`: the id
    of a later invitation, whose token is another one.
    """
    which = f"owner-invitation:{tenant_id}" + (f":{again}" if again else "")
    digest = hmac.digest(keys.platform().signing, which.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def invitation_token_hash(keys: KeyStore, tenant_id: str, again: UUID | None = None) -> bytes:
    """What the workspace's database knows of the owner's invitation."""
    return hash_of(invitation_token(keys, tenant_id, again))


def invitation_link(settings: Settings, keys: KeyStore, tenant: Tenant, again: UUID | None = None) -> str:
    """Where the owner chooses a name and a password, once the workspace is active."""
    return f"{settings.workspace_url(tenant.slug)}/invitation/{invitation_token(keys, tenant.id, again)}"
