"""Thousands of interleavings that hypothesis makes up: connections of several tenants, held at the same time, break."""

import random
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from offices import MARGIN, Office, Offices
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from uses import FAULTS, MARKER, BreachError, CancelledRequest, FaultError, Seen, suffer

from strongroom.config.errors import StrongroomError
from strongroom.platform.control.platform import Platform
from strongroom.platform.registry.registry import Registry
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.tenants.states import TenantState
from strongroom.provisioning.postgres.embedded import EmbeddedServer

# The same examples on every machine, no folder of them, no clock: a slow machine is no failure.
BOUNDED = settings(
    max_examples=25,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TENANTS, BUDGET, PER_TENANT = 4, 3, 2
SMALL = {"connection_budget": BUDGET, "connections_per_tenant": PER_TENANT, "checkout_timeout": 0.02}
PATIENCE = 120.0  # seconds
WHICH = st.integers(0, TENANTS - 1)
ANY = st.integers(0, 99)
STATEMENTS = [fault for fault in FAULTS if fault not in {"generator", "slow", "raise", "cancel"}]
GONE = (SQLAlchemyError, RuntimeError)  # the latter refuses to replace a connection that died while it is out
ENDS = [None, FaultError(), CancelledRequest(), GeneratorExit(), KeyboardInterrupt()]


@dataclass
class Lent:
    """A connection that is out, and whose it must be. `broken` once something was done to it."""

    office: Office
    tenant: Tenant
    loan: AbstractContextManager[Connection]
    connection: Connection
    broken: bool = False
    outdated: bool = False  # the tenant was changed since: it counts against the ceiling of the earlier record


class Schedule(RuleBasedStateMachine):
    """Steps in any order; what must hold after each of them stands below.

    A step that has nothing to act on does nothing: a precondition would make what is generated depend on the clock.
    """

    offices: Offices
    server: EmbeddedServer

    def __init__(self) -> None:
        super().__init__()
        platform = self.offices.platform
        self.registry = Registry(replace(platform.settings, **SMALL), platform.keys, platform.control)
        self.lent: list[Lent] = []
        self.known: dict[str, Tenant] = {}
        self.suspended: set[str] = set()
        self.pick = random.Random(1)

    @rule(which=WHICH, old=st.booleans())
    def take(self, which: int, old: bool) -> None:
        """Open one more connection, perhaps with a record that was read some time ago."""
        office = self.everybody[which]
        try:
            tenant = self.known[office.id] if old and office.id in self.known else self.registry.resolve(office.host)
            self.known[office.id] = tenant
            loan = self.registry.connect(tenant)
            connection = loan.__enter__()
        except StrongroomError:
            return
        self.lent.append(Lent(office, tenant, loan, connection))
        alive = [one for one in self.lent if not one.broken]
        assert sum(one.office is office and not one.outdated for one in alive) <= PER_TENANT
        assert len(alive) <= BUDGET

    @rule(which=ANY)
    def ask(self, which: int) -> None:
        """Whoever asks sees the own marker, whatever was done to the others, or the session is gone."""
        if not self.lent:
            return
        one = self.lent[which % len(self.lent)]
        try:
            seen = Seen(*one.connection.execute(MARKER).one())
        except GONE:
            assert one.broken, "a connection to which nothing was done does not answer"
            return
        assert seen[:3] == (one.tenant.database,) * 3
        assert seen.marker == one.office.id
        assert seen.owner in {"", one.office.id}

    @rule(which=ANY, fault=st.sampled_from(STATEMENTS), commit=st.booleans())
    def break_(self, which: int, fault: str, commit: bool) -> None:
        """Something goes wrong on a connection that is out."""
        if not self.lent:
            return
        one = self.lent[which % len(self.lent)]
        one.broken = True
        with suppress(*GONE):
            suffer(one.connection, fault, one.office.id, self.pick)
            if commit and fault in {"left", "owner"}:
                one.connection.commit()

    @rule(which=ANY, how=st.sampled_from(ENDS))
    def give_back(self, which: int, how: BaseException | None) -> None:
        """A block ends: by itself, by an error, or because the thread is told to stop."""
        if not self.lent:
            return
        one = self.lent.pop(which % len(self.lent))
        with suppress(*(GONE if one.broken else ()), *([type(how)] if how else [])):
            one.loan.__exit__(type(how) if how else None, how, None)

    @rule(which=WHICH)
    def terminate(self, which: int) -> None:
        """The server ends all sessions of one tenant."""
        office = self.everybody[which]
        self._touch(office)
        with self.server.connect_admin() as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (office.database,)
            )

    @rule(which=WHICH)
    def forget(self, which: int) -> None:
        """The registry is told to forget a tenant."""
        self._outdate(self.everybody[which])
        self.registry.forget(self.offices.record(self.everybody[which]))

    @rule(which=WHICH)
    def change(self, which: int) -> None:
        """A suspended workspace is opened, an open one suspended."""
        office = self.everybody[which]
        to = TenantState.ACTIVE if office.id in self.suspended else TenantState.SUSPENDED
        self.suspended ^= {office.id}
        self._outdate(office)
        with self.offices.platform.control.begin() as conn:
            tenants.set_state(conn, office.id, to)

    @invariant()
    def the_books_are_right(self) -> None:
        """As many are busy as are out (one that died comes back by itself), nobody waits, and no place is lost.

        A connection that the registry is just closing, because its tenant was changed, holds its place until then.
        """
        deadline = time.monotonic() + PATIENCE
        while not all(map(self._is_right, self.registry.stats().values())):
            assert time.monotonic() < deadline, (
                f"{len(self.lent)} are out, and the registry says {self.registry.stats()}"
            )
            time.sleep(0.001)

    def _is_right(self, stats: dict[str, Any]) -> bool:
        alive = sum(not one.broken for one in self.lent)
        return (
            alive <= stats["busy"] <= len(self.lent)
            and stats["busy"] <= stats["open"] <= BUDGET
            and not stats["waiting"]
        )

    def teardown(self) -> None:
        """Everything is given back, everybody is let in, and everybody is served."""
        try:
            while self.lent:
                self.give_back(0, None)
            for which, office in enumerate(self.everybody):
                if office.id in self.suspended:
                    self.change(which)
                self.registry.forget(self.offices.record(office))
                seen = self._patiently(office)
                assert (seen.database, seen.marker, seen.owner) == (office.database, office.id, "")
            self.the_books_are_right()
        finally:
            self.registry.close()

    def _patiently(self, office: Office) -> Seen:
        """A clean request; the check-out time-out of these tests is shorter than a busy machine needs to connect."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with self.registry.connect(self.registry.resolve(office.host)) as conn:
                    return Seen(*conn.execute(MARKER).one())
            except StrongroomError:
                if time.monotonic() > deadline:
                    raise

    @property
    def everybody(self) -> list[Office]:
        return self.offices.everybody

    def _outdate(self, office: Office) -> None:
        for one in self.lent:
            one.outdated |= one.office is office

    def _touch(self, office: Office) -> None:
        for one in self.lent:
            one.broken |= one.office is office


def test_in_no_order_of_events_does_a_connection_cross_tenants_or_get_lost(
    platform: Platform, embedded_server: EmbeddedServer, tenant_factory: Any
) -> None:
    offices = Offices(platform, tenant_factory, MARGIN)
    for _ in range(TENANTS):
        offices.add()

    class OnRealServer(Schedule):
        """The steps on the server of this run."""

    OnRealServer.offices, OnRealServer.server = offices, embedded_server
    run_state_machine_as_test(OnRealServer, settings=BOUNDED)


def test_a_breach_would_be_seen() -> None:
    class Permitting:
        def execute(self, _statement: object) -> None: ...

    with pytest.raises(BreachError, match="SET"):
        suffer(Permitting(), "forbidden", "x", random.Random(1))
