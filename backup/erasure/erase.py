"""Erases an account for good, in one visible list of steps, each of which may be repeated.

Whenever it is killed, the account is closed and its address taken; the next call, or the worker's clearing, goes on
with the step that was not finished. At the end nothing of the account can be read any more, and a certificate says so.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ...config.errors import NotFoundError
from ...platform.audit import queries as operators_audit
from ...platform.control.platform import Platform
from ...platform.tenants import queries as tenants
from ...platform.tenants.records import Tenant
from ...platform.tenants.states import TenantState
from ...provisioning.create import tenant_lock
from ..progress import Event, Progress, silent
from ..queueing import queue_backup
from . import queries
from .certificate import compose
from .closing import close, put_up_tombstone
from .destroying import delete_receipts, destroy_keys, drop_databases, remove_rows
from .objects import clear_again, delete_copies
from .records import Certificate, Document, Erasure, read_certificate
from .work import Work

ERASING, ERASED = "tenant.erasing", "tenant.erased"
_LATECOMERS = timedelta(days=3)  # how long the stores are looked through again: longer than any writer lives


def erase(platform: Platform, word: str, operator: str, progress: Progress = silent) -> Certificate:
    """Erase the account with the slug or id `word`, or go on with its erasure; return the certificate.

    Raises `NotFoundError`, `BusyError` while a restore, move or backup of it is at work, `FailedError` when a server or
    a store does not answer: the erasure then waits to be gone on with. One that is finished is not done again.
    """
    with platform.control.connect() as conn:
        tenant_id = tenants.holder(conn, word).id
    with tenant_lock(platform, tenant_id):
        with platform.control.connect() as conn:
            tenant, known = tenants.by_id(conn, tenant_id), queries.find(conn, tenant_id)
        if known is not None and known.certificate is not None:
            return read_certificate(known.certificate)
        work = _work(platform, tenant, known or _begin(platform, tenant, operator))
        _run(work, progress)
    assert work.certificate is not None
    return work.certificate


def certificate_of(platform: Platform, word: str) -> Certificate | None:
    """Return the certificate of an account by its id or slug; None if it is not erased.

    Where nobody has that slug now, the account that had it last is meant. Raises `NotFoundError` if none ever had.
    """
    with platform.control.connect() as conn:
        try:
            known = queries.find(conn, tenants.holder(conn, word).id)
        except NotFoundError:
            known = queries.newest_of(conn, word)
            if known is None:
                raise
    return read_certificate(known.certificate) if known and known.certificate else None


def unfinished(platform: Platform) -> list[Erasure]:
    """Return the erasures that wait to be gone on with."""
    with platform.control.connect() as conn:
        return queries.unfinished(conn)


def clear_latecomers(platform: Platform, now: datetime) -> int:
    """Delete what a writer that was cut off has put into a store after an erasure; return how many objects."""
    with platform.control.connect() as conn:
        ids = queries.finished_since(conn, now - _LATECOMERS)
    return sum(clear_again(platform, tenant_id) for tenant_id in ids)


def _begin(platform: Platform, tenant: Tenant, operator: str) -> Erasure:
    account = {"id": tenant.id, "slug": tenant.slug, "name": tenant.name, "plan": tenant.plan, "region": tenant.region}
    account["created_at"] = tenant.created_at.astimezone(UTC).isoformat(timespec="seconds")
    detail: Document = {"account": account, "steps": {}}
    with platform.control.begin() as conn:
        if tenant.state is not TenantState.ERASED:
            tenants.set_state(conn, tenant.id, TenantState.ERASED)
        operators_audit.record(conn, operator, ERASING, tenant.id, {"state": tenant.state.value})
        return queries.begin(conn, tenant.id, operator, detail)


def _work(platform: Platform, tenant: Tenant, erasure: Erasure) -> Work:
    return Work(platform, tenant, erasure.operator, erasure.requested_at, erasure.detail)


def _run(work: Work, progress: Progress) -> None:
    for number, (name, title, step) in enumerate(STEPS, 1):
        progress(Event(work.detail["account"]["slug"], title, number, len(STEPS)))
        if not work.is_done(name):
            step(work)
            if work.certificate is None:
                work.done(name)


def _certify(work: Work) -> None:
    """Sign, keep, and free the address, in one transaction: whoever has the address next is somebody else."""
    certificate = compose(work, {name: title for name, title, _ in STEPS})
    with work.platform.control.begin() as conn:
        queries.finish(conn, work.tenant.id, certificate.document, datetime.now(UTC))
        tenants.release_slug(conn, work.tenant.id)
        operators_audit.record(conn, work.operator, ERASED, work.tenant.id, {"certificate": certificate.number})
        queue_backup(conn, None)  # the certificate is kept in the control database
    work.platform.registry.forget(work.tenant)
    work.certificate = certificate


STEPS: tuple[tuple[str, str, Callable[[Work], None]], ...] = (
    ("tombstone", "tombstone in the key store", put_up_tombstone),
    ("closed", "connections blocked, sessions ended", close),
    ("databases", "databases and logins dropped", drop_databases),
    ("keys", "keys destroyed, with their copies", destroy_keys),
    ("copies", "backups deleted in all stores", delete_copies),
    ("receipts", "receipts deleted", delete_receipts),
    ("rows", "rows about the account removed", remove_rows),
    ("certificate", "certificate signed", _certify),
)
