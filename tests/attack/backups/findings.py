"""What must hold after every round, as sentences about what does not."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from homestead import Held, Homestead, patiently

from strongroom.backup import catalogue, copy_queries
from strongroom.backup.collect import collect
from strongroom.backup.records import Backup, BackupState
from strongroom.backup.stores.opening import open_store
from strongroom.backup.subject import identity_of
from strongroom.backup.verify import check_receipt, read_descriptor
from strongroom.config.errors import StrongroomError
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants import placements
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import PlacementState, Tenant
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning.strays import Remedy, find_strays

LEASE_IS_OVER = timedelta(minutes=6)
A_DAY_LATER = timedelta(hours=25)
_DYING = 10.0  # seconds in which what was left without a master must have ended
_GOOD = (BackupState.STORED, BackupState.VERIFIED)


class Judge:
    """Looks at the home after a round, and remembers which backup held what."""

    def __init__(self, home: Homestead) -> None:
        self._home = home
        self._held: dict[str, tuple[int, int]] = {}  # the marker that each backup may hold
        self._read: set[str] = set()  # backups whose objects have been read

    def learn(self) -> None:
        """Note what the backups hold that a round has made."""
        for backup in patiently(self._backups):
            held = self._home.held.get(backup.tenant_id or "")
            if held and backup.id not in self._held:
                self._held[backup.id] = (held.before, held.high)

    def after_round(self) -> list[str]:
        """Judge what the round has left, then what the collector has left of that a little later."""
        found = patiently(lambda: [*self._bad_rows(), *self._bad_placements()])
        patiently(lambda: collect(self._home.platform, datetime.now(UTC) + LEASE_IS_OVER))
        found += patiently(lambda: [*self._running(), *self._bad_rows(), *self._bad_workspaces(), *self._bad_copies()])
        return found + self._left_alive() + self._plain_text()

    def after_a_day(self) -> list[str]:
        """Judge what is left when the collector has run a day later."""
        patiently(lambda: collect(self._home.platform, datetime.now(UTC) + A_DAY_LATER))
        self._read.clear()
        return patiently(lambda: [*self._bad_rows(), *self._bad_workspaces(), *self._erased(), *self._left_over()])

    def _backups(self) -> list[Backup]:
        with self._home.platform.control.connect() as conn:
            return catalogue.listing(conn, limit=100_000)

    def _bad_rows(self) -> Iterator[str]:
        """No row says that a backup is good whose objects are not whole."""
        for backup in self._backups():
            if backup.state in _GOOD and backup.id not in self._read:
                try:
                    self._read_backup(backup)
                except (StrongroomError, AssertionError) as error:
                    yield f"{backup.id} of {backup.label} is {backup.state}, but: {error}"
                self._read.add(backup.id)
            elif backup.state is BackupState.FAILED and backup.size is not None:  # nothing here damages objects
                yield f"{backup.id} of {backup.label} is called bad: {backup.failure}"

    def _read_backup(self, backup: Backup) -> None:
        """Read it in each store that is said to have it."""
        platform = self._home.platform
        with platform.control.connect() as conn:
            having = copy_queries.stores_with(conn, backup.id)
        assert having, "no store has it"
        for name in having:
            store = open_store(self._home.settings, name)
            descriptor = read_descriptor(store, backup, identity_of(platform, backup.tenant_id))
            with store.open(descriptor.object) as file:
                content = file.read()
            assert (len(content), _sha256(content)) == (backup.size, backup.sha256), "its object is another one"
            for receipt in descriptor.receipts:
                check_receipt(store, backup, receipt.sha256)

    def _running(self) -> Iterator[str]:
        yield from (f"{one.id} is still running" for one in self._backups() if one.state is BackupState.RUNNING)

    def _bad_placements(self) -> Iterator[str]:
        """At no moment has a workspace another number of current placements than one."""
        for held in self._home.held.values():
            with self._home.platform.control.connect() as conn:
                tenant, known = tenants.by_id(conn, held.id), placements.of_tenant(conn, held.id)
            current = [one.id for one in known if one.state is PlacementState.CURRENT]
            if current != [tenant.placement_id]:
                yield f"{held.slug} has the current placements {current}, and lives in {tenant.placement_id}"

    def _bad_workspaces(self) -> Iterator[str]:
        yield from self._bad_placements()
        for held in self._home.held.values():
            tenant = self._home.tenant(held.id)
            if tenant.state is not TenantState.ACTIVE:
                yield f"{held.slug} is {tenant.state}"
            else:
                yield from self._wrong_content(held, tenant)

    def _wrong_content(self, held: Held, tenant: Tenant) -> Iterator[str]:
        """It holds what it held, or where it was given another database, what the backup in there held."""
        number, whose = self._home.marker(tenant)
        pid = tenant.placement_id or ""
        low, high = held.low, held.high
        if pid != held.database:
            low, high = self._content_of(tenant)
            high = max(high, number) if self._home.written else high  # on top of what was restored
        if whose != held.id or not low <= number <= high:
            yield f"{held.slug} holds the marker {number} of {whose}, not {low} to {high} of {held.id}"
        held.low = held.high = number
        held.database = pid

    def _content_of(self, tenant: Tenant) -> tuple[int, int]:
        """Return what the backup held that it was restored from, by the workspace's own audit log."""
        with self._home.platform.registry.connect(tenant) as conn, conn.begin():
            of = conn.exec_driver_sql(
                "SELECT detail ->> 'backup' FROM app.audit_event WHERE action = 'workspace.restored' "
                "ORDER BY id DESC LIMIT 1"
            ).scalar_one()
        return self._held[str(of)]

    def _bad_copies(self) -> Iterator[str]:
        """A workspace that began as a copy answers, with content of a workspace of ours, or is not there."""
        with self._home.platform.control.connect() as conn:
            everybody = tenants.list_all(conn)
        for tenant in everybody:
            if tenant.id in self._home.held or tenant.state is TenantState.ERASED:
                continue
            if tenant.state is not TenantState.ACTIVE:
                yield f"the copy {tenant.slug} is {tenant.state}"
            elif self._home.marker(tenant)[1] not in self._home.held:
                yield f"the copy {tenant.slug} is nobody's"

    def _left_alive(self) -> list[str]:
        """No throw-away server, and no dump or restore whose master was killed, lives on for long."""
        deadline = time.monotonic() + _DYING
        while (found := _processes(self._home.settings.home)) and time.monotonic() < deadline:
            time.sleep(0.05)
        folders = [path.name for path in self._home.server.root.glob("scratch-*")]
        return [f"{one} is still alive" for one in found] + [f"{one} is still there" for one in folders]

    def _plain_text(self) -> list[str]:
        """Outside of the server's own data folder no file holds what a workspace's database holds."""
        needle, data = self._home.canary.encode(), self._home.server.root / "data"
        return [f"{path} holds plain text" for path in self._files() if data not in path.parents and _has(path, needle)]

    def _files(self) -> Iterator[Path]:
        for root in (self._home.settings.home, *self._stores(), self._home.tmp):
            for folder, _, names in os.walk(root):
                if Path(folder) != self._home.server.root / "data":
                    yield from (Path(folder) / name for name in names)

    def _stores(self) -> list[Path]:
        return [store.folder for store in self._home.settings.backup_stores]

    def _erased(self) -> Iterator[str]:
        """Of an account that was erased nothing is left in any store but its tombstones."""
        with self._home.platform.control.connect() as conn:
            gone = [one.id for one in tenants.list_all(conn, [TenantState.ERASED])]
        files = [
            path
            for root in self._stores()
            for path in root.rglob("*")
            if path.is_file() and path.parent.name != "erased"
        ]
        for tenant_id in gone:
            yield from (f"{path} of an erased account is left" for path in files if tenant_id in str(path))

    def _left_over(self) -> Iterator[str]:
        """Nothing unfinished: no temporary object, service file, temporary file, stray database, role or key."""
        home = self._home
        for described in home.settings.backup_stores:
            store = open_store(home.settings, described.name)
            yield from (f"the store keeps {one.name}" for one in store.abandoned())
        yield from (f"{path} is left" for path in home.settings.run_dir.glob("backup-*"))
        yield from (f"{path} is left" for path in home.tmp.rglob("*") if path.is_file())
        with home.platform.control.connect() as conn:
            server = servers.by_name(conn, "embedded")
            known = {one.id for one in tenants.list_all(conn)}
        for stray in find_strays(home.platform, server):
            if stray.remedy is not Remedy.NONE or "is not there" in stray.sentence:
                yield f"{stray.where} {stray.sentence}"
        yield from (f"the key of {one} belongs to nobody" for one in set(home.platform.keys.tenant_ids()) - known)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _has(path: Path, needle: bytes) -> bool:
    try:
        return needle in path.read_bytes()
    except OSError:  # a socket, or gone
        return False


def _processes(home: Path) -> list[str]:
    """Return the processes of scratch servers, `pg_dump` and `pg_restore` that belong to the home."""
    needle = os.fsencode(home)
    return [name for pid in _pids() if (name := _program(pid)) and _is_left(pid, name, needle)]


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _is_left(pid: int, name: str, needle: bytes) -> bool:
    about: dict[str, Callable[[bytes], bool]] = {
        "postgres": lambda words: b"/scratch-" in words,
        "pg_dump": lambda _: True,
        "pg_restore": lambda _: True,
    }
    if name not in about:
        return False
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return needle in words and about[name](words)
