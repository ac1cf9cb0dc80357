"""Makes a new workspace from a living one, in one visible list of steps: under keys of its own, and silent.

The original is served meanwhile: the copy shows one moment of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Connection

from ..config.errors import RefusedError
from ..platform.control.platform import Platform
from ..platform.keys import FieldCipher, normalise_email
from ..platform.keys.resealing import reseal
from ..platform.servers import queries as servers
from ..platform.servers.records import Server
from ..platform.tenants import queries as tenants
from ..platform.tenants.ids import new_id
from ..platform.tenants.records import Tenant
from ..platform.tenants.slugs import check_name, check_slug
from ..platform.tenants.states import TenantState
from ..provisioning.create import tenant_lock
from ..provisioning.invitation import write_invitation
from ..provisioning.locking import held
from ..provisioning.names import Names
from ..provisioning.placements import finish_database, prepare_database
from ..provisioning.sessions import migrator_connection
from ..provisioning.spares import spare_lock
from ..tenant_schema.queries import members
from ..tenant_schema.tables import member
from . import traces
from .adapt import adapt_copy
from .copying import Copied, Place, compare_copy, copy_database
from .erasure.forget import replay_forgotten
from .progress import Progress, in_steps, silent
from .switch import NewTenant, open_new


@dataclass(frozen=True, slots=True)
class Wish:
    """What the new workspace is to be. `owner`: whom to invite as its owner, beside the members that it has."""

    slug: str
    name: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Cloned:
    """The new workspace. `invited`: whether a letter to the owner waits in it; a member of the original needs none."""

    tenant: Tenant
    rows: int
    invited: bool


@dataclass(slots=True)
class Work:
    """State of a clone while its steps run, in the order of `STEPS`."""

    platform: Platform
    source: Tenant
    wish: Wish
    operator: str
    new_id: str
    server: Server
    target: Place
    copied: Copied | None = None
    revision: str | None = None
    invited: bool = False
    result: Tenant | None = None


def clone(
    platform: Platform, slug: str, wish: Wish, *, operator: str = "operator", progress: Progress = silent
) -> Cloned:
    """Copy the workspace `slug` to a new one on the same server. Members keep their passwords.

    Sessions, open invitations and mail are not copied. Raises `NotFoundError`, `CallError` for a bad address, name or
    e-mail address, `RefusedError` (address taken, wrong state), `VerificationError` or `FailedError`: nothing of the
    new workspace is left then.
    """
    wish = _checked(wish)
    with platform.control.connect() as conn:
        source_id = tenants.by_slug(conn, slug).id
    pid = new_id()
    with tenant_lock(platform, source_id), held(platform, spare_lock(pid)):
        work = _begin(platform, source_id, pid, wish, operator)
        _run_steps(work, progress)
    assert work.result is not None
    assert work.copied is not None
    return Cloned(work.result, work.copied.manifest.rows, work.invited)


def _checked(wish: Wish) -> Wish:
    check_slug(wish.slug)
    name = check_name(wish.name) if wish.name else None
    return replace(wish, name=name, owner=normalise_email(wish.owner) if wish.owner else None)


def _begin(platform: Platform, source_id: str, pid: str, wish: Wish, operator: str) -> Work:
    with platform.control.connect() as conn:
        source = tenants.by_id(conn, source_id)
        if source.state not in (TenantState.ACTIVE, TenantState.SUSPENDED):
            raise RefusedError(f"The workspace “{source.slug}” is {source.state} and cannot be cloned now.")
        if tenants.is_taken(conn, wish.slug):
            raise RefusedError(f"The workspace address “{wish.slug}” is taken.")
        server = servers.by_name(conn, source.server)
    return Work(platform, source, wish, operator, new_id(), server, Place(server, Names(pid)))


def _run_steps(work: Work, progress: Progress) -> None:
    try:
        in_steps(STEPS, work, work.wish.slug, progress)
    except BaseException:
        if work.result is None:
            traces.undo(work.platform, work.new_id, work.target.names.pid)
        raise


def _prepare(work: Work) -> None:
    pid = work.target.names.pid
    traces.begin(work.platform, work.new_id, pid, work.source.id, work.operator)
    prepare_database(work.platform, work.server.name, empty=True, placement_id=pid)


def _copy(work: Work) -> None:
    source = Place(work.server, Names(work.source.placement_id or ""))
    work.copied = copy_database(work.platform, source, work.target)


def _compare(work: Work) -> None:
    assert work.copied is not None
    compare_copy(work.platform, work.copied, work.target)


def _adapt(work: Work) -> None:
    names, origin = work.target.names, {"workspace": work.source.id}
    with migrator_connection(work.platform, work.server, names.database) as conn, conn.begin():
        work.revision = adapt_copy(conn, names.owner, origin, partial(_reseal, work))
        replay_forgotten(conn, work.source.id, work.platform, work.new_id)
        work.invited = _invite(work, conn)


def _reseal(work: Work, conn: Connection) -> int:
    keys = work.platform.keys
    return reseal(conn, work.platform.settings, keys.tenant(work.source.id), keys.tenant(work.new_id))


def _invite(work: Work, conn: Connection) -> bool:
    """Invite the owner, unless a member has that address: a member signs in with the password from the original."""
    if work.wish.owner is None:
        return False
    cipher = FieldCipher(work.platform.keys.tenant(work.new_id))
    if members.by_email(conn, cipher.blind(member.c.email_index, work.wish.owner)):
        return False
    name = work.wish.name or work.source.name
    write_invitation(
        conn, work.platform, replace(work.source, id=work.new_id, slug=work.wish.slug, name=name), work.wish.owner
    )
    return True


def _finish(work: Work) -> None:
    finish_database(work.platform, work.target.names.pid, work.revision)


def _open(work: Work) -> None:
    new = NewTenant(work.new_id, work.wish.slug, work.source, work.wish.name)
    pid = work.target.names.pid
    work.result = open_new(work.platform, new, pid, work.operator, {"from": "live", "placement": pid})


STEPS: tuple[tuple[str, Callable[[Work], None]], ...] = (
    ("making keys and a database", _prepare),
    ("copying", _copy),
    ("comparing", _compare),
    ("sealing it under new keys", _adapt),
    ("closing and checking the gates", _finish),
    ("opening", _open),
)
