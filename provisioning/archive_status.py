"""How the way back to any second stands: base backups, the log's archive, and how far behind it is."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..platform.control.platform import Platform
from ..platform.servers import bases
from ..platform.servers import queries as servers
from ..platform.servers.bases import BaseBackup
from .postgres.embedded import EmbeddedServer
from .postgres.setup import EMBEDDED_NAME
from .postgres.spool import is_archiving

_BASE_AGE = timedelta(hours=26)  # one is taken every day
_LAG = timedelta(minutes=15)  # a piece of the log is ended after five minutes at the latest


@dataclass(frozen=True, slots=True)
class Facts:
    """What is seen at one moment."""

    installed: datetime
    days: int
    base: BaseBackup | None  # the newest
    is_wanted: bool  # whether PostgreSQL keeps its log for the archiver
    is_archiving: bool
    lag: timedelta
    gap: datetime | None


def archive_standing(platform: Platform, now: datetime) -> tuple[bool, str]:
    """Say whether the embedded server's log is archived as it should be, and how far one can go back."""
    spool = EmbeddedServer(platform.settings).spool
    with platform.control.connect() as conn:
        stored = bases.in_state(conn, bases.STORED, EMBEDDED_NAME)
        installed = servers.by_name(conn, EMBEDDED_NAME).created_at
    facts = Facts(
        installed=installed,
        days=platform.settings.point_in_time_days,
        base=stored[-1] if stored else None,
        is_wanted=spool.is_open(),
        is_archiving=is_archiving(platform.settings),
        lag=spool.lag(now),
        gap=spool.gap_since(),
    )
    return judge(facts, now)


def judge(facts: Facts, now: datetime) -> tuple[bool, str]:
    """Judge the facts; a new installation has its time for the first base backup."""
    if facts.days == 0:
        return True, "switched off (point_in_time_days = 0)"
    if problem := _trouble(facts):
        return False, problem
    if facts.base is None or facts.base.finished_at is None:
        return facts.installed > now - _BASE_AGE, "no base backup yet; `strongroom backup base` takes one"
    last = f"last base backup {_text(facts.base.finished_at)}"
    if facts.base.finished_at < now - _BASE_AGE:
        return False, f"{last}, too long ago; run `strongroom backup base`"
    return True, f"{last}, {_behind(facts)}"


def _trouble(facts: Facts) -> str | None:
    if facts.gap:
        return f"the disk was full at {_text(facts.gap)} and the log was let go; run `strongroom backup base`"
    if facts.is_wanted and not facts.is_archiving:
        return f"no archiver is at work, {_behind(facts)}; run `strongroom archiver`"
    if facts.lag > _LAG:
        return f"{_behind(facts)}: the archiver cannot store the log; its own words say why"
    return None


def _behind(facts: Facts) -> str:
    return f"{facts.lag.total_seconds():.0f} s behind"


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
