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
from ..platform.mail import standings
from ..platform.metrics.queries import last_isolation_verification, store_copies
from ..platform.protection import queries as protection
from ..platform.servers import queries as servers
from ..platform.tenants import queries as tenants
from ..platform.tenants.states import TenantState
from ..platform.web.listening import answers_cdn, answers_https, answers_proxy, serves_newest
from ..platform.web.own_certificate import standing
from ..platform.web.tls import tls_files
from .archive_status import archive_standing
from .healthy import Check, backup_check, certificate_check, erasures_check, isolation_check, mail_check, stores_check
from .initialise import is_initialised
from .names import MAINTENANCE, PROVISIONER
from .registry_status import RegistryUse, ServerUse, registry_use
from .sessions import open_as

_LEAST_FREE = 512 * 1024 * 1024  # bytes
_WORKER_SILENCE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Health:
    """All parts, and how the registries do; None where the control database cannot be asked."""

    checks: list[Check]
    registry: RegistryUse | None = None

    @property
    def ok(self) -> bool:
        """Whether all parts are."""
        return all(check.ok for check in self.checks)


def check_health(settings: Settings) -> Health:
    """Check every part; a part that cannot be asked is not ok. Never raises for what it finds."""
    if not is_initialised(settings):
        return Health([Check("home", ok=False, detail=f"{settings.home} is not set up; run `strongroom up`")])
    checks = [
        _disk("disk of the home", settings.home),
        _disk("disk of the backups", settings.backup_root),
        _web(settings),
        *_certificate(settings, datetime.now(UTC)),
    ]
    try:
        with open_platform(settings) as platform:
            checks += [_asked(part, ask, platform) for part, ask in _PARTS.items()]
            return Health(checks, _registry(platform))
    except StrongroomError as error:
        return Health([*checks, Check("keys", ok=False, detail=str(error))])


def _registry(platform: Platform) -> RegistryUse | None:
    try:
        with platform.control.connect() as conn:
            return registry_use(conn)
    except (StrongroomError, SQLAlchemyError):  # the parts say so already
        return None


def _disk(part: str, folder: object) -> Check:
    try:
        free = shutil.disk_usage(str(folder)).free
    except OSError as error:
        return Check(part, ok=False, detail=f"{folder}: {error.strerror}")
    return Check(part, ok=free >= _LEAST_FREE, detail=f"{free / 1024**3:.1f} GiB free in {folder}")


def _web(settings: Settings) -> Check:
    silent = [port for index, port in enumerate(settings.worker_ports) if not answers_proxy(settings, index)]
    if silent:
        return Check("web", ok=False, detail=f"the web process on port {silent[0]} does not answer")
    ok = answers_https(settings)
    if ok and settings.worker_ports and not serves_newest(settings):
        return Check("web", ok=False, detail=f"the proxy at {settings.site_url()} serves an old certificate; reload it")
    if ok and settings.cdn_port and not answers_cdn(settings):
        return Check("web", ok=False, detail=f"nobody listens for the CDN on port {settings.cdn_port}")
    who = "the proxy at " if settings.worker_ports else ""
    cdn = f"; the CDN has port {settings.cdn_port}" if ok and settings.cdn_port else ""
    return Check("web", ok=ok, detail=f"{who}{settings.site_url()} {'answers' if ok else 'does not answer'}{cdn}")


def _certificate(settings: Settings, now: datetime) -> list[Check]:
    """Nothing while there is none yet."""
    try:
        return [certificate_check(standing(settings, tls_files(settings).server), now)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        return [Check("certificate", ok=False, detail=f"it cannot be read: {error}")]


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
    now = datetime.now(UTC)
    with platform.control.connect() as conn:
        standings = protection.standings(conn, platform.settings, now)
        return backup_check(standings, protection.damaged(conn), protection.lacking(conn), now)


def _stores(platform: Platform) -> Check:
    with platform.control.connect() as conn:
        found = store_copies(conn)
    settings = platform.settings
    names = [store.name for store in settings.backup_stores]
    return stores_check(names, found, settings.backup_interval, datetime.now(UTC))


def _archive(platform: Platform) -> Check:
    ok, detail = archive_standing(platform, datetime.now(UTC))
    return Check("archive", ok=ok, detail=detail)


def _isolation(platform: Platform) -> Check:
    with platform.control.connect() as conn:
        last = last_isolation_verification(conn)
        installed = min((server.created_at for server in servers.list_all(conn)), default=datetime.now(UTC))
    return isolation_check(last, installed, datetime.now(UTC))


def _connections(platform: Platform) -> Check:
    with platform.control.connect() as conn:
        use = registry_use(conn)
    ok = all(server.use.breaker != "open" for server in use.servers)
    return Check("connections", ok=ok, detail="; ".join(_in_words(server) for server in use.servers) or "no server")


def _in_words(server: ServerUse) -> str:
    use, away = server.use, [one.process for one in server.processes if one.use.breaker == "open"]
    rate = "" if use.hit_rate is None else f", {use.hit_rate:.0%} of requests found one open"
    limit = "" if use.limit is None else f" of {use.limit}"
    held = f"{server.name}: {use.held}{limit} held{rate}, {use.waits} waits, {use.timeouts} time-outs"
    return f"{held}; given up for the moment by {', '.join(away)}" if away else held


def _erasures(platform: Platform) -> Check:
    with platform.control.connect() as conn:
        begun = tenants.being_erased(conn)
    return erasures_check(begun, datetime.now(UTC))


def _mail(platform: Platform) -> Check:
    with platform.control.connect() as conn:
        totals = standings.totals(conn)
    return mail_check(totals, not platform.settings.smtp_host, datetime.now(UTC))


_PARTS: dict[str, Callable[[Platform], Check]] = {
    "PostgreSQL": _postgres,
    "keys": _keys,
    "worker": _worker,
    "mail": _mail,
    "backups": _backups,
    "stores": _stores,
    "archive": _archive,
    "erasures": _erasures,
    "isolation": _isolation,
    "connections": _connections,
}
