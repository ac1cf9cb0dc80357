"""A workspace with an endpoint at a real receiver."""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from member_rows import add_member
from receiver import Receiver, receiver
from sqlalchemy import select

from strongroom.platform.control.platform import Platform
from strongroom.platform.keys.fields import FieldCipher
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.webhooks.delivery import deliver
from strongroom.platform.webhooks.events import EVENTS, emit
from strongroom.platform.webhooks.sending import Sender
from strongroom.platform.webhooks.signature import new_secret
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import webhook_log, webhooks
from strongroom.tenant_schema.queries.webhook_log import Delivery
from strongroom.tenant_schema.queries.webhooks import Attempt, Endpoint


@dataclass
class Office:
    """A workspace, its receiver, and what a test does with both."""

    platform: Platform
    tenant: Tenant
    inbox: Receiver
    owner: UUID
    now: datetime

    @property
    def cipher(self) -> FieldCipher:
        return FieldCipher(self.platform.keys.tenant(self.tenant.id))

    def endpoint(self, url: str | None = None, events: tuple[str, ...] = tuple(EVENTS)) -> tuple[UUID, str]:
        """A new endpoint and its key."""
        row_id, secret, c = new_uuid7(), new_secret(), tables.webhook_endpoint.c
        values = {
            "id": row_id,
            "url": self.cipher.seal(c.url, row_id, url or self.inbox.url),
            "description": self.cipher.seal(c.description, row_id, ""),
            "events": list(events),
            "secret": self.cipher.seal(c.secret, row_id, secret),
            "created_by": self.owner,
        }
        with self.platform.registry.connect(self.tenant) as conn, conn.begin():
            webhooks.insert_endpoint(conn, values)
        return row_id, secret

    def emit(self, event_type: str = "expense.created", count: int = 1, **data: object) -> None:
        with self.platform.registry.connect(self.tenant) as conn, conn.begin():
            for _ in range(count):
                emit(conn, self.cipher, event_type, data)

    def deliver(self, sender: Sender | None = None) -> datetime | None:
        """One turn of the worker."""
        return deliver(self.platform, self.tenant, sender or self.inbox.sender(), lambda: self.now)[0]

    def make_due(self, after: timedelta = timedelta(0)) -> None:
        """Let `after` go by, and what waits be due."""
        self.now += after
        table = tables.webhook_delivery
        with self.platform.registry.connect(self.tenant) as conn, conn.begin():
            past = datetime.now(UTC) - timedelta(seconds=1)
            conn.execute(table.update().where(table.c.state == "waiting").values(next_at=past))

    def log(self, endpoint_id: UUID) -> list[Delivery]:
        with self.platform.registry.connect(self.tenant) as conn, conn.begin():
            return webhook_log.log(conn, endpoint_id, state=None, before=None, limit=100)

    def attempts(self, endpoint_id: UUID) -> list[Attempt]:
        """Of the only delivery to an endpoint, the newest first."""
        (one,) = self.log(endpoint_id)
        with self.platform.registry.connect(self.tenant) as conn, conn.begin():
            return webhook_log.attempts(conn, one.id)

    def look(self, endpoint_id: UUID) -> Endpoint:
        with self.platform.registry.connect(self.tenant) as conn, conn.begin():
            found = webhooks.endpoint(conn, endpoint_id)
        assert found is not None
        return found

    def letters(self) -> list[str]:
        """The subjects of the mail in the outbox."""
        box = tables.outbox
        with self.platform.registry.connect(self.tenant) as conn, conn.begin():
            return [self.cipher.open(box.c.subject, *row) for row in conn.execute(select(box.c.id, box.c.subject))]


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Generator[Receiver]:
    """The receiver that the tests of a module share."""
    folder: Path = tmp_path_factory.mktemp("receiver")
    with receiver(folder) as running:
        yield running


@pytest.fixture(scope="module")
def workplace(platform: Platform, tenant_factory: object) -> tuple[Tenant, UUID]:
    """The workspace that the tests of a module share, and its owner."""
    tenant = tenant_factory()  # type: ignore[operator]
    cipher = FieldCipher(platform.keys.tenant(tenant.id))
    with platform.registry.connect(tenant) as conn, conn.begin():
        return tenant, add_member(conn, cipher, "olga@people.example", "Olga", role="owner")


@pytest.fixture
def office(platform: Platform, workplace: tuple[Tenant, UUID], inbox: Receiver) -> Generator[Office]:
    """The workspace without endpoints, and an empty inbox; what a test leaves is removed."""
    tenant, owner = workplace
    inbox.received.clear()
    inbox.answer = Receiver(0, inbox.authority).answer
    yield Office(platform, tenant, inbox, owner, datetime.now(UTC))
    with platform.registry.connect(tenant) as conn, conn.begin():
        for table in (tables.webhook_endpoint, tables.webhook_event, tables.outbox):
            conn.execute(table.delete())
