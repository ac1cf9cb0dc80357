"""`status`: is every part of an installation healthy? Looks, and starts nothing."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from ..config.errors import StrongroomError
from ..config.settings import Settings
from ..platform.control.platform import Platform, open_platform
from ..platform.jobs import queries as jobs
from ..platform.mail import standings
from ..platform.mail.standings import MailTotals
from ..platform.metrics.queries import last_isolation_verification, store_copies
from ..platform.metrics.records import StoreCopies, Verification
from ..platform.protection import queries as protection
from ..platform.protection import records as protection_records
from ..platform.protection.records import Damaged, Lacking, late
from ..platform.servers import queries as servers
from ..platform.tenants import queries as tenants
from ..platform.tenants.states import TenantState
from ..platform.web.listening import answers_cdn, answers_https, answers_proxy, serves_newest
from ..platform.web.own_certificate import Standing, standing
from ..platform.web.tls import tls_files
from .archive_status import archive_standing
from .initialise import is_initialised
from .names import MAINTENANCE, PROVISIONER
from .registry_status import RegistryUse, ServerUse, registry_use
from .sessions import open_as

_LEAST_FREE = 512 * 1024 * 1024  # bytes
_WORKER_SILENCE = timedelta(seconds=60)
_MOST_NAMED = 20
_CERTIFICATE_LEFT = timedelta(days=14)  # ours is renewed thirty days before its end
_COPY_TOLERANCE = timedelta(hours=1)
_ERASURE_TIME = timedelta(hours=2)
_MAIL_TIME = timedelta(minutes=30)
_ISOLATION_AGE = timedelta(days=2)  # a job verifies it every day


@dataclass(frozen=True, slots=True)
class Check:
    """One part of the installation."""

    part: str
    ok: bool
    detail: str


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


def backup_check(
    standings: Sequence[protection_records.Standing],
    damaged: Sequence[Damaged],
    lacking: Sequence[Lacking],
    now: datetime,
) -> Check:
    """Whether everything has a verified backup that is young enough, and none is known to be bad."""
    behind = late(standings, now)
    problems = [
        f"late for {_few([one.label for one in behind])}" if behind else "",
        f"failed its verification: {_few([f'{one.backup_id} of {one.label}' for one in damaged])}" if damaged else "",
        f"receipts lost in {_few([one.label for one in lacking])}" if lacking else "",
    ]
    verified = sum(one.verified is not None for one in standings if one.tenant_id)
    count = sum(one.tenant_id is not None for one in standings)
    found = "; ".join(filter(None, problems))
    return Check("backups", ok=not found, detail=found or f"{verified} of {count} workspaces have a verified one")


def _few(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def stores_check(names: Sequence[str], found: list[StoreCopies], interval: timedelta, now: datetime) -> Check:
    """Whether every store of the settings has the backups that it is to have; a copy may be as late as a backup."""
    limit = now - interval - _COPY_TOLERANCE
    by_name = {one.store: one for one in found}
    known = [by_name.get(name, StoreCopies(name, 0, 0, None, None)) for name in names]
    late = [one for one in known if one.waiting_since is not None and one.waiting_since < limit]
    if late:
        causes = [f"{one.store} lacks {one.waiting}{f' ({one.failure})' if one.failure else ''}" for one in late]
        return Check("stores", ok=False, detail="; ".join(causes))
    held = [f"{one.store} has {one.held}{f', waits for {one.waiting}' if one.waiting else ''}" for one in known]
    return Check("stores", ok=True, detail="; ".join(held))


def isolation_check(last: Verification | None, installed: datetime, now: datetime) -> Check:
    """Whether isolation was verified, lately and with success. A new installation has its time for the first one."""
    oldest = now - _ISOLATION_AGE
    if last is None:
        return Check("isolation", ok=installed > oldest, detail="not verified yet; run `strongroom isolation verify`")
    at = last.at.isoformat(timespec="seconds")
    if not last.passed:
        return Check("isolation", ok=False, detail=f"failed at {at}; run `strongroom isolation verify`")
    ok = last.at > oldest
    return Check("isolation", ok=ok, detail=f"verified at {at}{'' if ok else ', too long ago'}")


def erasures_check(begun: Sequence[tuple[str, datetime]], now: datetime) -> Check:
    """Whether every erasure that was begun has ended; the worker goes on with an interrupted one every hour."""
    waiting = [slug for slug, at in begun if at < now - _ERASURE_TIME]
    if waiting:
        again = "; ".join(f"strongroom tenant erase {slug}" for slug in waiting)
        return Check("erasures", ok=False, detail=f"{len(waiting)} not finished; repeat: {again}")
    at_work = [slug for slug, _ in begun]
    return Check("erasures", ok=True, detail=f"at work: {', '.join(at_work)}" if at_work else "none at work")


def mail_check(totals: MailTotals, to_files: bool, now: datetime) -> Check:
    """Whether all mail goes out: none has failed, and none has been waiting for long."""
    if to_files:
        return Check("mail", ok=True, detail="is written to outbox/ of the home: no mail server is configured")
    failed = f"{totals.failed} failed; see `strongroom mail list`" if totals.failed else ""
    waiting = f"{totals.waiting} wait" if totals.waiting else ""
    if totals.oldest_at is not None:
        waiting += f", the oldest since {totals.oldest_at.isoformat(timespec='seconds')}"
    is_late = totals.oldest_at is not None and totals.oldest_at < now - _MAIL_TIME
    detail = "; ".join(filter(None, (waiting, failed))) or "nothing waits"
    return Check("mail", ok=not failed and not is_late, detail=detail)


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


def certificate_check(found: Standing, now: datetime) -> Check:
    """Whether the certificate lasts, names what it must, and is the newest that the operator has put there."""
    problems = [
        f"the newer one is not used: {found.refused.rstrip('.')}" if found.refused else "",
        f"it does not name {' and '.join(found.lacking)}" if found.lacking else "",
        "it is to be renewed" if found.until - now < _CERTIFICATE_LEFT else "",
    ]
    wrong = "; ".join(filter(None, problems))
    until = f"lasts until {found.until:%d %B %Y}"
    return Check("certificate", ok=not wrong, detail=f"{until}; {wrong}" if wrong else until)


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
