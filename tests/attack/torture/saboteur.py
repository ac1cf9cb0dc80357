"""What is done to the workspaces and to the server while requests run."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import psycopg
from offices import Office, Offices, Span
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from strongroom.config.errors import StrongroomError
from strongroom.platform.control.tables import tenant as tenant_table
from strongroom.platform.registry.registry import Registry
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning.placements import drop_placement, finish_database, prepare_database, switch_placement
from strongroom.provisioning.rotate import rotate_login
from strongroom.tenant_schema.migrate import newest_revision

Admin = Callable[[], AbstractContextManager[psycopg.Connection[Any]]]
WEIGHTS = {
    "cancel": 30, "terminate": 20, "suspend": 8, "exchange": 8, "forget": 8, "refuse": 4, "rotate": 3, "move": 2,
    "erase": 1,
}  # fmt: skip
_OURS = "FROM pg_stat_activity WHERE application_name IN ('strongroom', 'somebody else') AND datname = %s"
LEAST = 4  # workspaces that stay


class Saboteur(threading.Thread):
    """Does one thing after the other, by chance, until told to stop; then opens again what it has closed."""

    def __init__(
        self,
        offices: Offices,
        registries: list[Registry],
        admin: Admin,
        seed: int,
        weights: dict[str, int],
        pace: float,
    ) -> None:
        super().__init__(name="saboteur")
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self._offices = offices
        self._registries = registries
        self._connect = admin
        self._pick = random.Random(seed)
        self._weights = weights
        self._pace = pace
        self._suspended: list[tuple[float, Office, Span]] = []
        self._done = threading.Event()

    def run(self) -> None:
        """Go on until `stop`."""
        while not self._done.is_set():
            kind = self._pick.choices(list(self._weights), list(self._weights.values()))[0]
            self._attempt(kind, getattr(self, f"_{kind}"))
            self._attempt("resume", self._resume)
            self._done.wait(self._pick.uniform(0, self._pace))
        self._attempt("resume", lambda: self._resume(everything=True))

    def stop(self) -> None:
        """End, and wait until everything is open again."""
        self._done.set()
        self.join()

    def _attempt(self, kind: str, act: Callable[[], object]) -> None:
        for last in (False,) * 2000 + (True,):
            try:
                if act():
                    self.counts[kind] += 1
            except (psycopg.OperationalError, psycopg.InterfaceError, StrongroomError, DBAPIError) as error:
                if kind not in {"resume", "move", "erase", "rotate"}:
                    return  # the server is just restarting, or the session was gone already
                if last or (isinstance(error, DBAPIError) and not isinstance(error.orig, psycopg.OperationalError)):
                    self.problems.append(f"{kind}: {type(error).__name__}: {error}")
                    return
                time.sleep(0.05)
            except Exception as error:  # noqa: BLE001  # told at the end
                self.problems.append(f"{kind}: {type(error).__name__}: {error}")
                return
            else:
                return

    def _any(self) -> Office:
        return self._pick.choice(list(self._offices.open.values()))

    def _cancel(self) -> bool:
        return self._signal("pg_cancel_backend(pid)")

    def _terminate(self) -> bool:
        return self._signal("pg_terminate_backend(pid)")

    def _signal(self, call: str) -> bool:
        with self._connect() as admin:
            return bool(admin.execute(f"SELECT {call} {_OURS}", (self._any().database,)).rowcount)

    def _suspend(self) -> bool:
        office = self._any()
        if any(office is one for _, one, _ in self._suspended) or len(self._suspended) > 2:
            return False
        self._set_state(office, TenantState.SUSPENDED)
        until = time.monotonic() + self._pick.choice([0.05, 0.5, self._offices.stale + 1.0])
        self._suspended.append((until, office, self._offices.closed(office)))
        return True

    def _resume(self, *, everything: bool = False) -> bool:
        due = [one for one in self._suspended if everything or one[0] < time.monotonic()]
        for one in due:
            one[2].until = time.monotonic()
            self._set_state(one[1], TenantState.ACTIVE)
            self._suspended.remove(one)
        return bool(due)

    def _set_state(self, office: Office, to: TenantState) -> None:
        with self._offices.platform.control.begin() as conn:
            if tenants.by_id(conn, office.id).state is not to:
                tenants.set_state(conn, office.id, to)

    def _exchange(self) -> bool:
        """Two workspaces exchange their addresses: the worst kind of renaming there is."""
        one, other = self._pick.sample(list(self._offices.open.values()), 2)
        with self._offices.exchange(one, other), self._offices.platform.control.begin() as conn:
            for office, slug in ((one, f"between-{new_id()}"), (other, one.slug), (one, other.slug)):
                change = {"slug": slug, "generation": tenant_table.c.generation + 1, "changed_at": text("now()")}
                conn.execute(update(tenant_table).where(tenant_table.c.id == office.id).values(change))
        return True

    def _forget(self) -> bool:
        self._pick.choice(self._registries).forget(self._offices.record(self._any()))
        return True

    def _refuse(self) -> bool:
        """The server takes no new connection to one database for a moment."""
        name = self._any().database
        with self._connect() as admin:
            admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
            time.sleep(0.01)
            admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
        return True

    def _rotate(self) -> bool:
        """A new credential for the same role."""
        rotate_login(self._offices.platform, self._offices.record(self._any()))
        return True

    def _move(self) -> bool:
        """Another database, and the old one dropped while it is in use."""
        platform, office = self._offices.platform, self._any()
        tenant = self._offices.record(office)
        new = prepare_database(platform, office.server, office.id)
        finish_database(platform, new.id, newest_revision())
        self._offices.mark(replace(tenant, placement_id=new.id))
        with platform.control.begin() as conn:
            moved = switch_placement(conn, tenant, new.id)
        old, office.placement_id, office.database = office.placement_id, new.id, moved.database
        drop_placement(platform, old)
        return True

    def _erase(self) -> bool:
        """A workspace and its database are gone while they are in use; another one comes."""
        if len(self._offices.open) <= LEAST:
            return False
        office = next(one for one in self._offices.open.values() if all(one is not s for _, s, _ in self._suspended))
        with self._offices.lock:
            del self._offices.open[office.id]
        self._set_state(office, TenantState.ERASED)
        self._offices.closed(office)
        drop_placement(self._offices.platform, office.placement_id)
        self._offices.platform.keys.destroy_tenant(office.id)
        self._offices.add()
        return True

    def _crash(self) -> bool:
        """PostgreSQL restarts itself after one of its processes was killed."""
        with self._connect() as admin:
            row = admin.execute(f"SELECT pid {_OURS} LIMIT 1", (self._any().database,)).fetchone()
        if row is None:
            return False
        os.kill(row[0], signal.SIGKILL)
        return True
