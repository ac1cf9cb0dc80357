"""What operators must hear of: each trouble once, and its end once.

The table `alarm` holds what is known. A trouble that has not been told yet has no `mailed_at`; its row goes when the
end has been told. Killed in between, the next check sends the same message again under the same name.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from ..config.errors import StrongroomError
from ..config.settings import Settings
from ..platform.control.platform import Platform
from ..platform.mail.operators import tell_operators
from ..platform.metrics.queries import store_copies
from ..platform.protection import alarms as known_alarms
from ..platform.protection import queries as protection
from ..platform.protection.alarms import Alarm, Trouble
from ..platform.protection.policy import policy_of
from ..platform.protection.records import Standing, late
from ..provisioning.locking import held

LATE, DAMAGED, LOST, COPY, BEHIND = "backup late", "backup damaged", "receipts lost", "copy damaged", "store behind"
_LISTED = 40  # troubles in one message; the rest is counted

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """What one check has found new, and what has ended."""

    new: list[Alarm]
    ended: list[Alarm]


def check(platform: Platform, now: datetime | None = None) -> Told:
    """Compare what is wrong now with what was; tell operators by mail what is new and what has ended.

    Without an `operator_email` the log says it. Raises `FailedError` when the mail cannot be delivered: the next check
    tries again.
    """
    now = now or datetime.now(UTC)
    with held(platform, "backup alarms", patience=10) as mine:
        if not mine:  # another process does it just now
            return Told([], [])
        with platform.control.begin() as conn:
            troubles = find_troubles(conn, platform.settings, now)
            known_alarms.raise_new(conn, troubles, now)
            told = _compare(known_alarms.listing(conn), troubles)
        _tell(platform, told, now)
    return told


def check_now(platform: Platform) -> None:
    """Do what `check` does for work that has an outcome of its own to tell: what fails here is only logged."""
    try:
        check(platform)
    except (StrongroomError, SQLAlchemyError) as error:
        _logger.warning("Operators could not be told just now: %s", error)


def find_troubles(conn: Connection, settings: Settings, now: datetime) -> list[Trouble]:
    """Return all that is wrong with backups now."""
    behind = late(protection.standings(conn, settings, now), now)
    return [*(_late(one, now) for one in behind), *_bad_backups(conn), *_bad_stores(conn, settings, now)]


def _bad_backups(conn: Connection) -> Iterator[Trouble]:
    for one in protection.damaged(conn):
        yield Trouble(DAMAGED, one.backup_id, f"A backup of {one.label} failed its verification: {one.failure}")
    for one in protection.lacking(conn):
        lost = f"{one.receipts} receipts were lost before the backup {one.backup_id} could copy them."
        yield Trouble(LOST, one.tenant_id, f"{one.label}: {lost}")


def _bad_stores(conn: Connection, settings: Settings, now: datetime) -> Iterator[Trouble]:
    for one in protection.damaged_copies(conn):
        detail = f"A copy of {one.label} in {one.store} is damaged: {one.failure}"
        yield Trouble(COPY, f"{one.backup_id} {one.store}", detail)
    limit = now - policy_of(settings).alarm_after
    for one in store_copies(conn):
        if one.waiting_since is not None and one.waiting_since < limit:
            why = f": {one.failure}" if one.failure else "."
            yield Trouble(BEHIND, one.store, f"The store {one.store} lacks {one.waiting} backups{why}")


def _late(one: Standing, now: datetime) -> Trouble:
    if one.verified is None:
        return Trouble(LATE, one.tenant_id or one.label, f"{one.label} has no verified backup at all.")
    at, age = one.verified.astimezone(UTC), _hours(now - one.verified)
    detail = (
        f"The newest verified backup of {one.label} is of {at:%Y-%m-%d %H:%M} UTC, {age} ago when this was noticed."
    )
    return Trouble(LATE, one.tenant_id or one.label, detail)


def _hours(age: timedelta) -> str:
    return f"{age.total_seconds() / 3600:.1f} hours"


def _compare(known: Iterable[Alarm], troubles: Iterable[Trouble]) -> Told:
    standing = {(one.kind, one.subject) for one in troubles}
    every = list(known)
    return Told(
        [one for one in every if one.mailed_at is None and (one.kind, one.subject) in standing],
        [one for one in every if (one.kind, one.subject) not in standing],
    )


def _tell(platform: Platform, told: Told, now: datetime) -> None:
    for alarm in told.new:
        if alarm.raised_at == now:  # the log, too, says it once
            _logger.error("%s", alarm.detail)
    news = Told(told.new, [one for one in told.ended if one.mailed_at])  # of the others nobody has heard
    sent = bool(news.new or news.ended) and tell_operators(
        platform.settings, _message_id(news), _subject(news), _body(news)
    )
    with platform.control.begin() as conn:
        if sent:
            known_alarms.mark_mailed(conn, told.new, now)
        known_alarms.remove(conn, told.ended)


def _message_id(news: Told) -> str:
    """The same for the same news, so that a repeat after a crash overwrites the first message."""
    begun = [f"new {one.kind} {one.subject} {one.raised_at.isoformat()}" for one in news.new]
    over = [f"ended {one.kind} {one.subject} {one.raised_at.isoformat()}" for one in news.ended]
    return "alarm-" + hashlib.sha256("|".join(sorted([*begun, *over])).encode()).hexdigest()[:24]


def _subject(news: Told) -> str:
    count = len(news.new) or len(news.ended)
    problems = f"{count} {'new ' if news.new else ''}problem{'s' if count > 1 else ''} with backups"
    return f"Strongroom: {problems}{'' if news.new else ' ended'}"


def _body(news: Told) -> str:
    begun = ["New:", *_lines(news.new), ""] if news.new else []
    over = ["No longer the case:", *_lines(news.ended), ""] if news.ended else []
    return "\n".join([*begun, *over, "See: strongroom status, strongroom backup list"]) + "\n"


def _lines(alarms: list[Alarm]) -> list[str]:
    more = len(alarms) - _LISTED
    return [f"- {one.detail}" for one in alarms[:_LISTED]] + ([f"- and {more} more"] if more > 0 else [])
