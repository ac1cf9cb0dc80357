"""Recovery from nothing: one list of steps, each of which may be repeated.

Killed at any moment, the same command goes on: what is done is found done. Until the control database is in place,
nobody else can work in the home.
"""

from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ...config.errors import FailedError
from ...config.settings import Settings
from ...config.stores import StoreSettings
from ...platform.audit import queries as operators_audit
from ...platform.control.platform import Platform
from ...platform.processes.running import held
from ...provisioning.initialise import set_recovering
from ...provisioning.opening import open_home
from ...provisioning.postgres.embedded import EmbeddedServer
from ...provisioning.postgres.places import check_home
from .. import catalogue
from ..header import timestamp
from ..records import BackupState
from ..stores.opening import Place, open_place
from . import control, journal, leftovers, workspaces
from .adopt import adopt
from .journal import Journal
from .keys import Escrow, bring_keys, prove
from .place import label, named, refuse_inside
from .report import Report
from .settings_file import keep_settings
from .watching import Watch

PARALLEL = 2
_HELD = (BackupState.STORED, BackupState.VERIFIED)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be recovered: from where, with which key, which workspaces (none: all)."""

    store: StoreSettings
    master_key: Path
    only: Collection[str] = ()
    parallel: int = PARALLEL
    operator: str = "operator"


@dataclass(slots=True)
class Work:
    """What the steps share."""

    settings: Settings
    order: Order
    watch: Watch
    place: Place
    escrow: Escrow
    journal: Journal
    platform: Platform | None = field(default=None)

    @property
    def open_platform(self) -> Platform:
        """The platform, once the control database is in place."""
        assert self.platform is not None
        return self.platform


def recover(settings: Settings, order: Order, watch: Watch | None = None) -> Report:
    """Bring control plane and workspaces back into the home of `settings`, which is empty or a recovery begun before.

    Raises `RefusedError` for a home in use and for backups of a newer version, `VerificationError` for a wrong master
    key, `NotFoundError` where nothing is found, `FailedError` for what a repeat may mend. What happens to a single
    workspace stands in the report.
    """
    watch = watch or Watch()
    check_home(settings.home)
    refuse_inside(settings.home, order.store)
    place, escrow = open_place(order.store), Escrow.read(order.master_key)
    prove(escrow, place.keys, label(order.store, keys=True))
    control.require_backups(place.backups, label(order.store))
    if journal.read(settings.home) is None:
        journal.require_empty(settings.home)
    with _alone(settings):
        begun = Journal.begin(settings.home, label(order.store), escrow.key.id)
        work = Work(settings, order, watch, place, escrow, begun)
        for title, step in FIRST_STEPS:
            watch.say(title)
            step(work)
        with open_home(work.settings) as platform:
            work.platform = platform
            for title, step in STEPS:
                watch.say(title)
                step(work)
    return Report.of(begun.document)


@contextmanager
def _alone(settings: Settings) -> Generator[None]:
    """Keep `up` away, until the first run has come to its end: later ones may bring the rest while others work."""
    document = journal.read(settings.home)
    with held(settings) if document is None or document["finished_at"] is None else nullcontext():
        yield


def _settings(work: Work) -> None:
    if work.journal.control is None:
        set_recovering(work.settings, recovering=True)
    work.settings = keep_settings(work.settings, work.order.store)


def _keys(work: Work) -> None:
    if work.journal.control is not None:  # they were complete before it, and some may have been destroyed since
        return
    for sentence in bring_keys(work.settings, work.escrow, work.place.keys):
        _note(work, sentence)


def _control(work: Work) -> None:
    if work.journal.control is None:
        server = EmbeddedServer(work.settings)
        found = control.bring_back(work.settings, server, work.place.backups, lambda text: _note(work, text))
        header = found.descriptor.header
        place = {"backup": header.backup_id, "as_of": timestamp(found.as_of), "damaged": found.damaged}
        work.journal.change(control=place)
    control.let_work(work.settings)


def _forget_machine(work: Work) -> None:
    if work.journal.document["finished_at"] is None:  # later ones are those of this machine
        leftovers.forget_processes(work.open_platform)
    leftovers.settle(work.open_platform, leftovers.databases(work.open_platform))


def _catalogue(work: Work) -> None:
    if work.journal.document["finished_at"] is not None:
        return
    store = named(work.settings, work.order.store)
    if store is None:
        raise FailedError(f"The settings do not name the store {label(work.order.store)} any more.")
    found = adopt(work.open_platform, work.place.backups, store.name)
    _mark_control(work)
    counts = {"adopted": found.adopted, "lost": found.lost}
    earlier = work.journal.document["catalogue"]
    work.journal.change(catalogue={key: earlier.get(key, 0) + count for key, count in counts.items()})
    for sentence in found.refused:
        _note(work, sentence)
    for stranger in found.strangers:
        _note(
            work,
            f"The workspace {stranger} was made after the last backup of the control database, which does not know "
            "its name; docs/restore-from-nothing.md says how to open its backup by hand.",
        )


def _mark_control(work: Work) -> None:
    """What the third step has found out about the backups of the control database."""
    control_found, now = work.journal.control or {}, datetime.now(UTC)
    with work.open_platform.control.begin() as conn:
        catalogue.mark_verified(conn, control_found["backup"], now)
        for backup_id in control_found["damaged"]:
            catalogue.mark_failed(conn, backup_id, "It was found damaged by a recovery.", now, _HELD)


def _workspaces(work: Work) -> None:
    platform, order = work.open_platform, work.order
    there = leftovers.databases(platform)
    wanted = workspaces.decide(platform, work.journal, there, order.only, order.operator)
    workspaces.bring_back(platform, work.journal, wanted, order.parallel, work.watch, order.operator)


def _finish(work: Work) -> None:
    counts = Report.of(work.journal.document).counts()
    with work.open_platform.control.begin() as conn:
        detail = {"from": label(work.order.store), "control": work.journal.control, "workspaces": counts}
        operators_audit.record(conn, work.order.operator, "platform.recovered", detail=detail)
    work.journal.change(finished_at=timestamp(datetime.now(UTC)))


def _note(work: Work, sentence: str) -> None:
    work.journal.note(sentence)
    work.watch.say(f"Attention: {sentence}")


Step = tuple[str, Callable[[Work], None]]

FIRST_STEPS: tuple[Step, ...] = (
    ("1 of 7: settings that name the store", _settings),
    ("2 of 7: keys, from their copies", _keys),
    ("3 of 7: PostgreSQL and the control database, from its newest backup", _control),
)
STEPS: tuple[Step, ...] = (
    ("4 of 7: forgetting what went with the lost machine", _forget_machine),
    ("5 of 7: the catalogue, from what lies in the store", _catalogue),
    ("6 of 7: the workspaces", _workspaces),
    ("7 of 7: the report", _finish),
)
