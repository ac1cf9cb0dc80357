"""Records, jobs, mails and sealed files of A in B's hands, below the pages: each says whose it is, or is refused."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from strongroom.backup.tasks import TENANT_TASK
from strongroom.config.errors import NotFoundError, RefusedError, StrongroomError, VerificationError
from strongroom.platform.control.platform import Platform
from strongroom.platform.jobs.app import app
from strongroom.platform.keys import FieldCipher
from strongroom.platform.keys.receipts import ReceiptVault
from strongroom.platform.mail import outbox
from strongroom.platform.mail.delivery import deliver_waiting
from strongroom.platform.payments.tasks import PROCESS
from strongroom.platform.portal.recovery.letters import SEND
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.tenants.requests import PROVISION
from strongroom.provisioning.tasks import provision_tenant
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.worker_tasks import register_tasks

WHO = text("SELECT current_database()")


@pytest.fixture(scope="module")
def two(tenant_factory: Callable[[], Tenant]) -> tuple[Tenant, Tenant]:
    return tenant_factory(), tenant_factory()


def test_a_job_names_its_tenant_and_nothing_else_that_is_a_tenants() -> None:
    """What a job needs of a tenant it looks up by the id, so it cannot be handed one tenant and another's database."""
    register_tasks()
    taken: dict[str, list[str]] = {}
    for name, task in app.tasks.items():
        function = inspect.getclosurevars(task.func).nonlocals.get("function")
        if function and function.__module__.startswith("strongroom."):
            taken[name] = list(inspect.signature(function).parameters)
    assert taken[PROVISION] == taken[TENANT_TASK] == ["platform", "tenant_id"]
    usual = {("platform",), ("platform", "tenant_id")}
    assert {name: found for name, found in taken.items() if tuple(found) not in usual} == {
        SEND: ["platform", "tenant_id", "account", "purpose"],  # an index that only this tenant's key makes
        PROCESS: ["platform", "event_id"],  # its row says whose it is
    }


def test_a_job_for_a_cannot_take_a_database_of_b(platform: Platform, two: tuple[Tenant, Tenant]) -> None:
    a, b = two
    assert b.placement_id
    with platform.control.begin() as conn, pytest.raises(RefusedError):
        tenants.set_placement(conn, a.id, b.placement_id)
    with pytest.raises(NotFoundError):
        provision_tenant(platform, b.placement_id)  # an id, but of no tenant
    assert [platform.registry.tenant_by_id(one.id).placement_id for one in two] == [a.placement_id, b.placement_id]


@pytest.mark.parametrize("generations", [0, 5])
def test_a_record_that_mixes_two_tenants_opens_nothing_of_the_other(
    platform: Platform, two: tuple[Tenant, Tenant], generations: int
) -> None:
    """As a wrong cache key would: A's id with B's database, as old as the true one or newer."""
    a, b = two
    for one in two:
        with platform.registry.connect(one):
            pass  # both have an idle connection that could be confused
    mixed = replace(a, placement_id=b.placement_id, generation=a.generation + generations)
    try:
        with platform.registry.connect(mixed) as conn:
            assert conn.execute(WHO).scalar_one() == a.database
    except StrongroomError:
        pass
    for one in two:
        with platform.registry.connect(platform.registry.resolve(f"{one.slug}.localhost")) as conn:
            assert conn.execute(WHO).scalar_one() == one.database


def test_a_letter_of_a_in_the_outbox_of_b_goes_to_nobody(platform: Platform, two: tuple[Tenant, Tenant]) -> None:
    a, b = two
    with platform.registry.connect(a) as conn, conn.begin() as transaction:
        cipher = FieldCipher(platform.keys.tenant(a.id))
        letter = outbox.queue(conn, cipher, "somebody@of-a.example", "Canary", "Canary")
        row = conn.execute(select(tables.outbox).where(tables.outbox.c.id == letter)).one()
        transaction.rollback()
    with platform.registry.connect(b) as conn, conn.begin():
        conn.execute(insert(tables.outbox), dict(row._mapping))
    assert deliver_waiting(platform, b) == 0
    assert not list(platform.settings.outbox_dir.glob(f"*{letter}*"))
    with platform.registry.connect(b) as conn, conn.begin():
        conn.execute(tables.outbox.delete().where(tables.outbox.c.id == letter))


def test_delivering_for_b_sends_nothing_that_waits_in_a(platform: Platform, two: tuple[Tenant, Tenant]) -> None:
    a, b = two
    with platform.registry.connect(a) as conn, conn.begin():
        letter = outbox.queue(conn, FieldCipher(platform.keys.tenant(a.id)), "waits@of-a.example", "x", "x")
    assert deliver_waiting(platform, b) == 0
    assert not list(platform.settings.outbox_dir.glob(f"*{letter}*"))
    assert deliver_waiting(platform, a) == 1
    assert len(list(platform.settings.outbox_dir.glob(f"*{letter}*"))) == 1


def test_a_receipt_of_a_is_nothing_to_b_by_name_by_place_or_by_content(
    platform: Platform, two: tuple[Tenant, Tenant]
) -> None:
    vaults = [ReceiptVault(platform.settings, platform.keys.tenant(one.id)) for one in two]
    receipt, content = new_uuid7(), b"canary of a receipt"
    stored = vaults[0].seal_and_store(receipt, content)
    for wrong in (stored.object, stored.object.replace(two[0].id, f"{two[1].id}/../{two[0].id}")):
        with pytest.raises(VerificationError):
            vaults[1].load(receipt, wrong)
        with pytest.raises(VerificationError):
            vaults[1].delete(wrong)
    source = platform.settings.receipts_dir / stored.object
    copied = platform.settings.receipts_dir / stored.object.replace(two[0].id, two[1].id)
    copied.parent.mkdir(parents=True)
    copied.write_bytes(source.read_bytes())
    with pytest.raises(VerificationError):
        vaults[1].load(receipt, stored.object.replace(two[0].id, two[1].id))
    assert vaults[0].load(receipt, stored.object) == content
    assert vaults[0].content_mac(content) != vaults[1].content_mac(content)
    copied.unlink()


def test_a_sealed_field_of_a_opens_for_nobody_else(platform: Platform, two: tuple[Tenant, Tenant]) -> None:
    ciphers = [FieldCipher(platform.keys.tenant(one.id)) for one in two]
    row, column = new_uuid7(), tables.member.c.name
    sealed: Any = ciphers[0].seal(column, row, "Canary")
    with pytest.raises(VerificationError):
        ciphers[1].open(column, row, sealed)
    index = tables.member.c.email_index
    assert ciphers[0].blind(index, "same@x.example") != ciphers[1].blind(index, "same@x.example")
