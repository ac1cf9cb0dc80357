"""The metrics, read from the control database each time somebody asks.

Names follow prometheus.io/docs/practices/naming. Nothing of customers is in them: a tenant's opaque id, of the busiest
ones only, so that the number of series stays bounded.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, StateSetMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from ...config.errors import StrongroomError
from ...config.settings import Settings
from ..jobs import queries as jobs
from ..mail import standings
from ..protection import alarms
from ..protection import queries as protection
from ..protection.records import Standing, late
from ..tenants.states import TenantState
from ..web import web_events
from ..web.tls import tls_files
from ..webhooks import queries as webhooks
from . import queries
from .records import BREAKER_STATES, Lease, busiest

_COUNTED = {
    "hits": "Requests that found an open connection to their tenant's database",
    "misses": "Requests for which a connection had to be opened",
    "evictions": "Connections closed to make room for another tenant's",
    "waits": "Requests that waited for a connection",
    "timeouts": "Requests that got none in time, and were answered with 503",
    "discarded": "Connections that came back unclean, and were closed",
}
_JOB_STATES = ("todo", "doing", "succeeded", "failed", "cancelled", "aborted")


class ControlDatabaseCollector(Collector):
    """Reads `engine` at each collection. While the database is away there is `strongroom_up 0` and nothing else."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        """`settings` have what the plans leave open about backups."""
        self._engine = engine
        self._settings = settings

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics as they are now."""
        found: list[Metric] = []
        try:
            with self._engine.connect() as conn:
                found = [*_registry(queries.leases(conn)), *_servers(conn), *_states(conn), *_proofs(conn)]
                found += [*_backups(conn, self._settings), *_stores(conn), *_archive(self._settings.log_spool_dir)]
                found += [*_mail(conn), *_web(conn), *_webhooks(conn), *_certificate(tls_files(self._settings).server)]
        except (StrongroomError, SQLAlchemyError):
            found = []  # half of them would look like a change
        yield GaugeMetricFamily("strongroom_up", "Whether the control database answers", 1.0 if found else 0.0)
        yield from found


def _registry(leases: list[Lease]) -> Iterator[Metric]:
    for name, text in _COUNTED.items():
        counter = CounterMetricFamily(f"strongroom_registry_{name}", text, labels=["process", "server"])
        for lease in leases:
            counter.add_metric([lease.process, lease.server], lease.count(name))
        yield counter
    yield from _connections(leases)
    yield _breakers(leases)
    busy = GaugeMetricFamily(
        "strongroom_registry_busiest_uses",
        "How often the busiest tenants were used since the processes started",
        labels=["tenant", "server"],
    )
    for use in busiest(leases):
        busy.add_metric([use.tenant, use.server], use.uses)
    yield busy


def _connections(leases: list[Lease]) -> Iterator[Metric]:
    connections = GaugeMetricFamily(
        "strongroom_registry_connections", "Tenants' connections", labels=["process", "server", "state"]
    )
    waiting = GaugeMetricFamily(
        "strongroom_registry_waiting", "Requests that wait for a connection now", labels=["process", "server"]
    )
    share = GaugeMetricFamily(
        "strongroom_registry_lease_connections", "Connections a process may hold", labels=["process", "kind", "server"]
    )
    for lease in leases:
        opened, used = lease.count("open"), lease.count("busy")
        connections.add_metric([lease.process, lease.server, "busy"], used)
        connections.add_metric([lease.process, lease.server, "idle"], max(0, opened - used))
        waiting.add_metric([lease.process, lease.server], lease.count("waiting"))
        share.add_metric([lease.process, lease.kind, lease.server], lease.connections)
    return iter((connections, waiting, share))


def _breakers(leases: list[Lease]) -> Metric:
    breakers = StateSetMetricFamily(
        "strongroom_registry_breaker", "Whether a process tries a server", labels=["process", "server"]
    )
    for lease in leases:
        states = {state: state == lease.breaker for state in BREAKER_STATES}
        breakers.add_metric([lease.process, lease.server], states)
    return breakers


def _servers(conn: Connection) -> Iterator[Metric]:
    limit = GaugeMetricFamily(
        "strongroom_server_connection_limit", "Connections tenants may have, all processes together", labels=["server"]
    )
    databases = GaugeMetricFamily("strongroom_server_databases", "Databases on a server", labels=["server"])
    spares = GaugeMetricFamily("strongroom_server_spares", "Finished databases nobody has yet", labels=["server"])
    for server in queries.servers(conn):
        if server.limit is not None:
            limit.add_metric([server.name], server.limit)
        databases.add_metric([server.name], server.databases)
        spares.add_metric([server.name], server.spares)
    return iter((limit, databases, spares))


def _states(conn: Connection) -> Iterator[Metric]:
    counts = queries.tenants(conn)
    tenants = GaugeMetricFamily("strongroom_tenants", "Workspaces by state", labels=["state"])
    for state in TenantState:
        tenants.add_metric([state.value], counts.get(state.value, 0))
    queued = dict.fromkeys(_JOB_STATES, 0) | jobs.counts(conn)
    waiting = GaugeMetricFamily("strongroom_jobs", "Jobs of the queue by state", labels=["state"])
    for state, count in queued.items():
        waiting.add_metric([state], count)
    return iter((tenants, waiting))


def _web(conn: Connection) -> Iterator[Metric]:
    counted = CounterMetricFamily("strongroom_web_events", "What happened at the edge, by kind", labels=["event"])
    for name, count in ({"csp_violation": 0} | web_events.totals(conn)).items():
        counted.add_metric([name], count)
    yield counted


def _certificate(path: Path) -> Iterator[Metric]:
    """When the served certificate ends; nothing where there is none yet."""
    try:
        until = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return
    text = "When the certificate that browsers see ends, in seconds since 1970"
    yield GaugeMetricFamily("strongroom_certificate_end_seconds", text, until.timestamp())


def _stores(conn: Connection) -> Iterator[Metric]:
    held = GaugeMetricFamily("strongroom_backup_store_backups", "Backups in a store", labels=["store"])
    waiting = GaugeMetricFamily(
        "strongroom_backup_store_waiting", "Backups that are still to be copied to a store", labels=["store"]
    )
    lag = GaugeMetricFamily(
        "strongroom_backup_store_lag_seconds", "Age of the oldest backup that a store still lacks", labels=["store"]
    )
    now = datetime.now(UTC)
    for copies in queries.store_copies(conn):
        held.add_metric([copies.store], copies.held)
        waiting.add_metric([copies.store], copies.waiting)
        since = copies.waiting_since
        lag.add_metric([copies.store], (now - since).total_seconds() if since else 0)
    return iter((held, waiting, lag))


def _mail(conn: Connection) -> Iterator[Metric]:
    totals = standings.totals(conn)
    age = (datetime.now(UTC) - totals.oldest_at).total_seconds() if totals.oldest_at else 0
    yield GaugeMetricFamily("strongroom_mail_waiting", "Messages that wait, as of their last delivery", totals.waiting)
    yield GaugeMetricFamily("strongroom_mail_failed", "Messages that were given up", totals.failed)
    yield GaugeMetricFamily("strongroom_mail_oldest_seconds", "Age of the message that waits longest", age)


def _webhooks(conn: Connection) -> Iterator[Metric]:
    text = "Attempts to deliver webhooks; refused: the address would have led inside"
    attempts = CounterMetricFamily("strongroom_webhook_attempts", text, labels=["outcome"])
    counted = webhooks.counts(conn)
    for outcome in webhooks.OUTCOMES:
        attempts.add_metric([outcome], counted.get(outcome, 0))
    yield attempts


def _proofs(conn: Connection) -> Iterator[Metric]:
    now = datetime.now(UTC)
    verified = queries.newest_verified_backup(conn)
    if verified is not None:
        yield GaugeMetricFamily(
            "strongroom_backup_newest_verified_age_seconds",
            "Time since a backup was last proved by restoring it",
            (now - verified).total_seconds(),
        )
    base = GaugeMetricFamily(
        "strongroom_base_backup_age_seconds",
        "Time since the newest base backup of a server, from which the log leads to any second",
        labels=["server"],
    )
    for server, taken in queries.newest_base_backups(conn).items():
        base.add_metric([server], (now - taken).total_seconds())
    yield base
    isolation = queries.last_isolation_verification(conn)
    if isolation is not None:
        yield GaugeMetricFamily(
            "strongroom_isolation_verification_passed",
            "Whether the last verification of isolation found nothing open",
            float(isolation.passed),
        )
        yield GaugeMetricFamily(
            "strongroom_isolation_verification_age_seconds",
            "Time since the last verification of isolation",
            (now - isolation.at).total_seconds(),
        )


def _backups(conn: Connection, settings: Settings) -> Iterator[Metric]:
    now = datetime.now(UTC)
    standings = protection.standings(conn, settings, now)
    tenants, control = standings[:-1], standings[-1]
    figures = {
        "oldest_age_seconds": ("Age of the newest verified backup of whoever is worst off", _worst_age(tenants, now)),
        "control_age_seconds": ("Age of the control database's newest verified backup", _worst_age([control], now)),
        "late": ("Of workspaces and control database, those behind their policy", len(late(standings, now))),
        "failed_verifications": ("Backups that failed a verification", len(protection.damaged(conn))),
        "damaged_copies": (
            "Copies that are bad, of backups that are not",
            len(protection.damaged_copies(conn)),
        ),
        "receipts_lost": ("Receipts that newest backups lack", sum(one.receipts for one in protection.lacking(conn))),
        "alarms": ("Troubles that operators were told of, or will be", alarms.count(conn)),
    }
    for name, (text, value) in figures.items():
        yield GaugeMetricFamily(f"strongroom_backup_{name}", text, float(value))


def _archive(spool: Path) -> Iterator[Metric]:
    """How far behind the log's archive is; nothing where no log is archived."""
    try:
        times = [path.stat().st_mtime for path in spool.iterdir() if not path.name.startswith(".")]
    except OSError:  # no spool, or a piece that was archived at this moment
        return
    now = datetime.now(UTC).timestamp()
    text = "How long the oldest piece of the embedded server's log has been waiting for the archiver"
    yield GaugeMetricFamily("strongroom_archive_lag_seconds", text, max(0.0, now - min(times, default=now)))


def _worst_age(standings: list[Standing], now: datetime) -> float:
    """In seconds; of one without any verified backup since it came to be."""
    return max(((now - (one.verified or one.since)).total_seconds() for one in standings), default=0.0)
