"""Workspaces whose databases hold a marker, and a journal of who held which address, and who was closed, when."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf

from sqlalchemy import text

from strongroom.platform.control.platform import Platform
from strongroom.platform.keys import FieldCipher
from strongroom.platform.keys.tokens import hash_of
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import Tenant
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import members, sessions

MARGIN = 1.0  # seconds beyond `tenant_cache_seconds` after which every process must have noticed a change
_MARK = text(
    "INSERT INTO app.setting VALUES ('marker', to_jsonb(CAST(:id AS text))) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


@dataclass
class Span:
    """Something that was true of a tenant at most from `since` to `until` (monotonic seconds)."""

    tenant_id: str
    since: float
    until: float = inf


@dataclass
class Office:
    """A marked workspace."""

    id: str
    slug: str
    name: str
    database: str
    server: str
    placement_id: str
    token: str  # of a session of its member
    person: str  # the member's name, sealed under the tenant's key: a marker of the keys

    @property
    def host(self) -> str:
        return f"{self.slug}.localhost"


@dataclass
class Offices:
    """All of them. Addresses never vanish from `slugs`, so that users go on asking at old ones."""

    platform: Platform  # for setting up; never the one under test
    make: Callable[[], Tenant]
    stale: float  # seconds after which a change must have been noticed
    open: dict[str, Office] = field(default_factory=dict[str, Office])
    everybody: list[Office] = field(default_factory=list[Office])  # the erased ones too
    holders: dict[str, list[Span]] = field(default_factory=dict[str, list[Span]])
    closures: list[Span] = field(default_factory=list[Span])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self) -> Office:
        """Make a workspace with marker, member and session."""
        tenant = self.make()
        person, token = f"Person of {tenant.id}", f"token-of-{tenant.id}"
        assert tenant.placement_id
        office = Office(
            tenant.id, tenant.slug, tenant.name, tenant.database, tenant.server, tenant.placement_id, token, person
        )
        self._furnish(tenant, office)
        with self.lock:
            self.holders.setdefault(tenant.slug, []).append(Span(tenant.id, 0.0))
            self.open[tenant.id] = office
            self.everybody.append(office)
        return office

    def mark(self, tenant: Tenant) -> None:
        """Write the marker into the database of a placement that nobody uses yet."""
        with self.platform.registry.connect(tenant, before_opening=True) as conn, conn.begin():
            conn.execute(_MARK, {"id": tenant.id})

    def record(self, office: Office) -> Tenant:
        with self.platform.control.connect() as conn:
            return tenants.by_id(conn, office.id)

    @contextmanager
    def exchange(self, one: Office, other: Office) -> Generator[None]:
        """Journal that two workspaces exchange their addresses while the block commits it."""
        began = time.monotonic()
        with self.lock:
            for holder, slug in ((one, other.slug), (other, one.slug)):
                self.holders[slug].append(Span(holder.id, began))
        yield
        done = time.monotonic()
        with self.lock:
            for holder, slug in ((one, one.slug), (other, other.slug)):
                for span in self.holders[slug]:
                    if span.tenant_id == holder.id and span.until == inf:
                        span.until = done
            one.slug, other.slug = other.slug, one.slug

    def closed(self, office: Office) -> Span:
        """Journal that a workspace is closed as of now; the caller sets `until` before it opens it again."""
        span = Span(office.id, time.monotonic())
        with self.lock:
            self.closures.append(span)
        return span

    def may_answer(self, slug: str, tenant_id: str, began: float) -> bool:
        """Whether the tenant held the address at any time from when the oldest record still valid was read."""
        with self.lock:
            spans = list(self.holders.get(slug, []))
        return any(span.tenant_id == tenant_id and span.until >= began - self.stale for span in spans)

    def was_closed(self, tenant_id: str, began: float, ended: float) -> bool:
        """Whether the tenant had been closed long enough before the request, and was until after it."""
        with self.lock:
            spans = list(self.closures)
        return any(s.tenant_id == tenant_id and s.since < began - self.stale and s.until > ended for s in spans)

    def _furnish(self, tenant: Tenant, office: Office) -> None:
        cipher, row_id, now = FieldCipher(self.platform.keys.tenant(tenant.id)), new_uuid7(), datetime.now(UTC)
        columns = tables.member.c
        with self.platform.registry.connect(tenant) as conn, conn.begin():
            conn.execute(_MARK, {"id": tenant.id})
            members.insert(
                conn,
                id=row_id,
                email=cipher.seal(columns.email, row_id, "person@office.example"),
                email_index=cipher.blind(columns.email_index, "person@office.example"),
                name=cipher.seal(columns.name, row_id, office.person),
                password_hash=None,
                role="owner",
            )
            sessions.insert(
                conn,
                id=new_uuid7(),
                token_hash=hash_of(office.token),
                member_id=row_id,
                method="password",
                address=None,
                user_agent=cipher.seal(tables.session.c.user_agent, row_id, "torture"),
            )
            sessions.touch(conn, row_id, now)
        self.platform.registry.forget(tenant)
