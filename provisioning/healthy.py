"""What `status` calls healthy: decisions about what was found, without looking at anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..platform.mail.standings import MailTotals
from ..platform.metrics.records import StoreCopies, Verification
from ..platform.protection import records as protection
from ..platform.protection.records import Damaged, Lacking, late
from ..platform.web.own_certificate import Standing

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


def backup_check(
    standings: Sequence[protection.Standing],
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


def _few(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
