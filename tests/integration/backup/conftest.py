"""A home with a running server and workspaces that have something to lose."""

import os
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from disposable_server import disposable_server
from sqlalchemy import Connection, insert, select, text

from strongroom.backup.scratch import ScratchPool
from strongroom.config.settings import Settings, load_settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.keys import FieldCipher, ReceiptVault
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.create import provision, request_tenant
from strongroom.provisioning.postgres.programs import find_bindir
from strongroom.tenant_schema import tables as t
from strongroom.tenant_schema.ids import new_uuid7

NAME, EMAIL, NOTE = "Wilhelmina Canarius", "wilhelmina@canary.example", "lunch with the canary breeder"
_SESSIONS = text("SELECT count(*) FROM pg_stat_activity WHERE datname = :database")
RECEIPT = b"%PDF-1.7 the canary's own receipt " * 40


@pytest.fixture(scope="session")
def backup_settings(reachable_tmp: Path) -> Generator[Settings]:
    """A home of these tests alone: they clear up as if weeks had passed, and back up whatever is due."""
    home = reachable_tmp / "backup" / "home"
    home.mkdir(parents=True)
    settings = load_settings(home, bcrypt_cost=4)
    with disposable_server(settings, "autovacuum = off\n"):  # what it writes makes a workspace a changed one
        yield settings


@pytest.fixture(scope="session")
def platform(backup_settings: Settings) -> Generator[Platform]:
    with open_platform(backup_settings) as opened:
        yield opened


@pytest.fixture(scope="session")
def scratch(backup_settings: Settings) -> Generator[ScratchPool]:
    pool = ScratchPool(backup_settings)
    yield pool
    pool.close()


@dataclass(frozen=True)
class Workspace:
    """A workspace with one member, one expense that has a note, and one receipt with a preview."""

    platform: Platform
    slug: str
    id: str
    member_id: UUID
    receipt_id: UUID
    canaries: tuple[bytes, ...] = (NAME.encode(), EMAIL.encode(), NOTE.encode(), RECEIPT[:40])

    def settle(self) -> None:
        """End the workspace's open sessions, so that the statistics hold everything that they wrote."""
        tenant, deadline = self.tenant(), time.monotonic() + 30
        self.platform.registry.forget(tenant)
        with self.platform.control.connect() as conn:  # on the same server
            while conn.scalar(_SESSIONS, {"database": tenant.database}) and time.monotonic() < deadline:
                time.sleep(0.01)

    def named(self, slug: str, tenant_id: str) -> "Workspace":
        """The same content as another workspace."""
        return replace(self, slug=slug, id=tenant_id)

    def tenant(self) -> Tenant:
        with self.platform.control.connect() as conn:
            return tenants.by_id(conn, self.id)

    def has_a_way_in(self, conn: Connection) -> bool:
        """Whether a browser or a mail from before still opens something there, or counts as known."""
        ways = (
            select(t.session.c.id).where(t.session.c.revoked_at.is_(None)),
            select(t.mail_link.c.id).where(t.mail_link.c.used_at.is_(None)),
            select(t.challenge.c.id),
            select(t.device.c.id),
        )
        return any(conn.execute(way).first() for way in ways)

    def spend(self, merchant: str) -> None:
        """Add one expense."""
        cipher = FieldCipher(self.platform.keys.tenant(self.id))
        expense_id = new_uuid7()
        with self.platform.registry.connect(self.tenant()) as conn, conn.begin():
            category_id = conn.scalar(select(t.category.c.id).limit(1))
            conn.execute(
                insert(t.expense).values(
                    id=expense_id,
                    member_id=self.member_id,
                    category_id=category_id,
                    spent_on=date(2026, 1, 31),
                    merchant=merchant,
                    amount=Decimal("12.50"),
                    currency="GBP",
                    digits=2,
                    base_amount=Decimal("12.50"),
                    base_currency="GBP",
                    note=cipher.seal(t.expense.c.note, expense_id, NOTE),
                )
            )

    def merchants(self) -> list[str]:
        with self.platform.registry.connect(self.tenant()) as conn, conn.begin():
            return sorted(conn.scalars(select(t.expense.c.merchant)))

    def receipt(self) -> tuple[bytes, bytes]:
        """Original and preview, opened with the workspace's keys."""
        vault = ReceiptVault(self.platform.settings, self.platform.keys.tenant(self.id))
        with self.platform.registry.connect(self.tenant()) as conn, conn.begin():
            row = conn.execute(
                select(t.receipt.c.object, t.receipt.c.preview_object).where(t.receipt.c.id == self.receipt_id)
            ).one()
        return vault.load(self.receipt_id, row[0]), vault.load(self.receipt_id, row[1], "preview")

    def member(self) -> tuple[str, str]:
        """Name and e-mail, found by the blind index and opened with the workspace's keys."""
        cipher, member = FieldCipher(self.platform.keys.tenant(self.id)), t.member
        found = member.c.email_index == cipher.blind(member.c.email_index, EMAIL)
        with self.platform.registry.connect(self.tenant()) as conn, conn.begin():
            row = conn.execute(select(member.c.id, member.c.name, member.c.email).where(found)).one()
        return cipher.open(member.c.name, row.id, row.name), cipher.open(member.c.email, row.id, row.email)


@pytest.fixture
def workspace(platform: Platform, request: pytest.FixtureRequest) -> Workspace:
    """A fresh workspace for this test."""
    return new_workspace(platform, f"w-{new_uuid7().hex[8:20]}")


@pytest.fixture
def another(platform: Platform) -> Workspace:
    return new_workspace(platform, f"v-{new_uuid7().hex[8:20]}")


@pytest.fixture(scope="session")
def fresh_workspace(platform: Platform) -> Callable[[], Workspace]:
    """Makes fresh workspaces for fixtures that several tests share."""
    return lambda: new_workspace(platform, f"u-{new_uuid7().hex[8:20]}")


@pytest.fixture(scope="session")
def make_workspace() -> Callable[[Platform, str], Workspace]:
    """Makes a workspace of any platform: `make_workspace(platform, slug)`."""
    return new_workspace


def new_workspace(platform: Platform, slug: str) -> Workspace:
    with platform.control.begin() as conn:
        made = request_tenant(
            conn, platform.settings, platform.keys, slug=slug, name="Canary Ltd", owner_email="owner@canary.example"
        )
    provision(platform, made.id)
    workspace = Workspace(platform, slug, made.id, new_uuid7(), new_uuid7())
    _fill(workspace)
    workspace.spend("Before")
    return workspace


def _fill(workspace: Workspace) -> None:
    platform, keys = workspace.platform, workspace.platform.keys.tenant(workspace.id)
    cipher, vault = FieldCipher(keys), ReceiptVault(platform.settings, keys)
    member_id, receipt_id = workspace.member_id, workspace.receipt_id
    original = vault.seal_and_store(receipt_id, RECEIPT)
    preview = vault.seal_and_store(receipt_id, b"preview of " + RECEIPT, "preview")
    with platform.registry.connect(workspace.tenant()) as conn, conn.begin():
        conn.execute(
            insert(t.member).values(
                id=member_id,
                email=cipher.seal(t.member.c.email, member_id, EMAIL),
                email_index=cipher.blind(t.member.c.email_index, EMAIL),
                name=cipher.seal(t.member.c.name, member_id, NAME),
                password_hash="sr1$x",
                role="owner",
            )
        )
        _be_signed_in(conn, member_id)
        invitation_id = new_uuid7()
        conn.execute(
            insert(t.invitation).values(
                id=invitation_id,
                token_hash=os.urandom(32),
                email=cipher.seal(t.invitation.c.email, invitation_id, "invited@canary.example"),
                email_index=cipher.blind(t.invitation.c.email_index, "invited@canary.example"),
                role="member",
                invited_by=member_id,
                expires_at=datetime.now(UTC) + timedelta(days=7),
            )
        )
        conn.execute(
            insert(t.receipt).values(
                id=receipt_id,
                uploaded_by=member_id,
                file_name=cipher.seal(t.receipt.c.file_name, receipt_id, "canary.pdf"),
                media_type="application/pdf",
                size=len(RECEIPT),
                object=original.object,
                sha256=original.sha256,
                content_mac=original.content_mac,
                preview_object=preview.object,
                preview_sha256=preview.sha256,
            )
        )


def _be_signed_in(conn: Connection, member_id: UUID) -> None:
    """A session on a known device, and what else a browser or a mail may hold for a while."""
    now, device_id = datetime.now(UTC), new_uuid7()
    soon = now + timedelta(minutes=30)
    conn.execute(insert(t.device).values(id=device_id, member_id=member_id, token_hash=os.urandom(32)))
    proof = {"member_id": member_id, "token_hash": os.urandom(32)}
    conn.execute(insert(t.session).values(id=new_uuid7(), device_id=device_id, last_seen_at=now, **proof))
    conn.execute(insert(t.challenge).values(id=new_uuid7(), purpose="second_factor", expires_at=soon, **proof))
    conn.execute(insert(t.mail_link).values(id=new_uuid7(), purpose="reset", expires_at=soon, **proof))


@pytest.fixture
def with_program(platform: Platform, tmp_path: Path) -> Callable[[str, str], Platform]:
    """Returns the platform with one of PostgreSQL's programs replaced by a shell script; `$REAL` is the real one."""

    def build(program: str, script: str) -> Platform:
        real, fake = find_bindir(platform.settings), tmp_path / "bin"
        fake.mkdir()
        for path in real.iterdir():
            if path.name != program:
                (fake / path.name).symlink_to(path)
        (fake / program).write_text(f"#!/bin/sh\nREAL={real / program}\n{script}\n")
        (fake / program).chmod(0o755)
        return replace(platform, settings=replace(platform.settings, postgres_bindir=str(fake)))

    return build
