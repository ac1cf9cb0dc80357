"""`status`: is every part of an installation healthy? Looks, and starts nothing."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from ..config.errors import StrongroomError
from ..config.settings import Settings
from ..platform.control.platform import Platform, open_platform
from ..platform.jobs import queries as jobs
from ..platform.servers import queries as servers
from ..platform.tenants import queries as tenants
from ..platform.tenants.records import Tenant
from ..platform.tenants.states import TenantState
from ..platform.web.server import answers_https
from .initialise import is_initialised
from .names import MAINTENANCE, PROVISIONER
from .sessions import open_as

_LEAST_FREE = 512 * 1024 * 1024  # bytes
_WORKER_SILENCE = timedelta(seconds=60)
# A backup that is due is taken within minutes; promise 14 is an alarm an hour after it was missed.
_BACKUP_TOLERANCE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Check:
    """One part of the installation."""

    part: str
    ok: bool
    detail: str


def check_health(settings: Settings) -> list[Check]:
    """Check every part; a part that cannot be asked is not ok. Never raises for what it finds."""
    if not is_initialised(settings):
        return [Check("home", ok=False, detail=f"{settings.home} is not set up; run `strongroom up`")]
    checks = [
        _disk("disk of the home", settings.home),
        _disk("disk of the backups", settings.backup_root),
        _web(settings),
    ]
    try:
        with open_platform(settings) as platform:
            return [*checks, *(_asked(part, ask, platform) for part, ask in _PARTS.items())]
    except StrongroomError as error:
        return [*checks, Check("keys", ok=False, detail=str(error))]


def late_backups(active: list[Tenant], interval: timedelta, now: datetime) -> list[str]:
    """Slugs of the workspaces whose last backup is older than `interval` and the tolerance."""
    limit = now - interval - _BACKUP_TOLERANCE
    return [tenant.slug for tenant in active if (tenant.last_backup_at or tenant.created_at) < limit]


def _disk(part: str, folder: object) -> Check:
    try:
        free = shutil.disk_usage(str(folder)).free
    except OSError as error:
        return Check(part, ok=False, detail=f"{folder}: {error.strerror}")
    return Check(part, ok=free >= _LEAST_FREE, detail=f"{free / 1024**3:.1f} GiB free in {folder}")


def _web(settings: Settings) -> Check:
    ok = answers_https(settings)
    return Check("web", ok=ok, detail=f"{settings.site_url()} {'answers' if ok else 'does not answer'}")


def _asked(part: str, ask: Callable[[Platform], Check], platform: Platform) -> Check:
    try:
        return ask(platform)
    except (StrongroomError, SQLAlchemyError) as error:
        detail = str(error) if isinstance(error, StrongroomError) else "the control database does not answer"
        return Check(part, ok=False, detail=detail)


def _keys(platform: Platform) -> Check:
    with platform.control.connect() as conn:
        known = [tenant for tenant in tenants.list_all(conn) if tenant.state is not TenantState.PENDING]
    missing = sorted({tenant.id for tenant in known} - set(platform.keys.tenant_ids()))
    return Check("keys", ok=not missing, detail=f"missing for {missing}" if missing else f"of {len(known)} workspaces")


def _postgres(platform: Platform) -> Check:
    with platform.control.connect() as conn:
        every = servers.list_all(conn)
    for server in every:
        with open_as(platform, server, PROVISIONER, MAINTENANCE):
            pass
    return Check("PostgreSQL", ok=bool(every), detail=f"{', '.join(server.name for server in every)} answers")


def _worker(platform: Platform) -> Check:
    with platform.control.connect() as conn:
        heard = jobs.last_heartbeat(conn)
        counts = jobs.counts(conn)
    ok = heard is not None and datetime.now(UTC) - heard < _WORKER_SILENCE
    last = f"last heard of {heard.isoformat(timespec='seconds')}" if heard else "none has ever run, or it has ended"
    return Check("worker", ok=ok, detail=f"{last}; {counts.get('todo', 0)} jobs wait, {counts.get('failed', 0)} failed")


def _backups(platform: Platform) -> Check:
    with platform.control.connect() as conn:
        active = tenants.list_all(conn, [TenantState.ACTIVE, TenantState.SUSPENDED])
    late = late_backups(active, platform.settings.backup_interval, datetime.now(UTC))
    verified = sum(tenant.last_verified_at is not None for tenant in active)
    detail = f"late for {', '.join(late)}" if late else f"{verified} of {len(active)} workspaces have a verified one"
    return Check("backups", ok=not late, detail=detail)


_PARTS: dict[str, Callable[[Platform], Check]] = {
    "PostgreSQL": _postgres,
    "keys": _keys,
    "worker": _worker,
    "backups": _backups,
}
