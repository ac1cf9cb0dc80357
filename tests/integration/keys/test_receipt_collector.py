"""Orphaned receipts go after a day; what any database of the workspace names stays."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from member_rows import add_member
from sqlalchemy import Connection, delete, insert

from strongroom.platform.control.platform import Platform
from strongroom.platform.keys import FieldCipher, ReceiptVault, StoredReceipt
from strongroom.platform.tenants import placements
from strongroom.platform.tenants.records import PlacementState, Tenant
from strongroom.provisioning.receipts import collect_receipts, collect_receipts_of
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.tables import receipt

LATER = datetime.now(UTC) + timedelta(days=3)  # however long the tests before these take


@pytest.fixture
def vault(platform: Platform, tenant: Tenant) -> ReceiptVault:
    return ReceiptVault(platform.settings, platform.keys.tenant(tenant.id))


@pytest.fixture
def kept(platform: Platform, tenant: Tenant, vault: ReceiptVault) -> set[str]:
    """The objects of a receipt that has a row."""
    row_id = new_uuid7()
    original, preview = vault.seal_and_store(row_id, b"picture"), vault.seal_and_store(row_id, b"small", "preview")
    with platform.registry.connect(tenant) as conn, conn.begin():
        add_receipt(conn, FieldCipher(platform.keys.tenant(tenant.id)), row_id, original, preview)
    return {original.object, preview.object}


def add_receipt(
    conn: Connection, cipher: FieldCipher, row_id: UUID, original: StoredReceipt, preview: StoredReceipt
) -> None:
    uploader = add_member(conn, cipher)
    values = {
        "id": row_id,
        "uploaded_by": uploader,
        "file_name": cipher.seal(receipt.c.file_name, row_id, "a.jpg"),
        "media_type": "image/jpeg",
        "size": 7,
        "object": original.object,
        "sha256": original.sha256,
        "content_mac": original.content_mac,
        "preview_object": preview.object,
        "preview_sha256": preview.sha256,
    }
    conn.execute(insert(receipt), values)


def stored(vault: ReceiptVault) -> set[str]:
    return {blob.name for blob in vault.objects()}


def test_an_upload_without_a_row_goes_after_a_day(
    platform: Platform, tenant: Tenant, vault: ReceiptVault, kept: set[str]
) -> None:
    orphan = vault.seal_and_store(new_uuid7(), b"killed before the commit").object
    assert collect_receipts_of(platform, tenant, datetime.now(UTC)) == 0
    assert stored(vault) == kept | {orphan}
    assert collect_receipts_of(platform, tenant, LATER) == 1
    assert stored(vault) == kept


def test_a_deleted_receipt_goes_and_its_neighbours_stay(
    platform: Platform, tenant: Tenant, vault: ReceiptVault, kept: set[str]
) -> None:
    with platform.registry.connect(tenant) as conn, conn.begin():
        conn.execute(delete(receipt))
    assert collect_receipts(platform, LATER) >= len(kept)
    assert stored(vault) == set()


@pytest.mark.parametrize("state", [PlacementState.BUILDING, PlacementState.RETIRED])
def test_nothing_goes_while_another_database_may_name_it(
    platform: Platform, tenant: Tenant, vault: ReceiptVault, state: PlacementState
) -> None:
    orphan = vault.seal_and_store(new_uuid7(), b"named by the database before the restore").object
    with platform.control.begin() as conn:
        other = placements.new(conn, tenant.server, tenant.id)
        if state is not PlacementState.BUILDING:
            placements.set_state(conn, other.id, state)
    assert collect_receipts_of(platform, tenant, LATER) == 0
    assert stored(vault) == {orphan}
    with platform.control.begin() as conn:
        placements.set_state(conn, other.id, PlacementState.DROPPED)
    assert collect_receipts_of(platform, tenant, LATER) == 1
