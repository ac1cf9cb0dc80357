"""A copied workspace moves to keys of its own: its own keys open everything, the old ones nothing."""

from datetime import date
from pathlib import Path

import pytest
from member_rows import add_member
from sqlalchemy import Connection, insert, select, update

from strongroom.config.errors import VerificationError
from strongroom.config.settings import Settings
from strongroom.platform.keys import FieldCipher, ReceiptVault, TenantKeys
from strongroom.platform.keys.resealing import reseal
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import members
from strongroom.tenant_schema.queries.sealed import sealed_columns, sealed_tables
from strongroom.tenant_schema.tables import category, expense, member, outbox, receipt

OLD = TenantKeys.generate("abcdefghijklmnop")
NEW = TenantKeys.generate("ponmlkjihgfedcba")


def test_everything_opens_with_the_new_keys_and_nothing_with_the_old(conn: Connection, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", backup_root=tmp_path / "backups")
    before, after = FieldCipher(OLD), FieldCipher(NEW)
    ada, spent, picture = add_member(conn, before, role="owner"), new_uuid7(), new_uuid7()
    conn.execute(
        insert(expense).values(
            id=spent,
            member_id=ada,
            category_id=select(category.c.id).limit(1).scalar_subquery(),
            spent_on=date(2026, 5, 1),
            merchant="Northern Rail",
            amount="12.50",
            currency="GBP",
            digits=2,
            base_amount="12.50",
            base_currency="GBP",
            note=before.seal(expense.c.note, spent, "to Leeds"),
            state="approved",
        )
    )
    old_vault, new_vault = ReceiptVault(settings, OLD), ReceiptVault(settings, NEW)
    original, preview = (
        old_vault.seal_and_store(picture, b"original"),
        old_vault.seal_and_store(picture, b"p", "preview"),
    )
    conn.execute(
        insert(receipt).values(
            id=picture,
            uploaded_by=ada,
            file_name=before.seal(receipt.c.file_name, picture, "a.jpg"),
            media_type="image/jpeg",
            size=8,
            object=original.object,
            sha256=original.sha256,
            content_mac=original.content_mac,
            preview_object=preview.object,
            preview_sha256=preview.sha256,
        )
    )

    assert reseal(conn, settings, OLD, NEW) == 4

    found = members.by_email(conn, after.blind(member.c.email_index, "ada@example.com"))
    assert found is not None
    assert after.open(member.c.email, ada, found.email) == "ada@example.com"
    note = conn.execute(select(expense.c.note)).scalar_one()
    assert note is not None
    assert after.open(expense.c.note, spent, note) == "to Leeds"
    row = conn.execute(select(receipt)).one()
    assert new_vault.load(picture, row.object) == b"original"
    assert new_vault.load(picture, row.preview_object, "preview") == b"p"
    assert row.content_mac == new_vault.content_mac(b"original")
    for table in sealed_tables():
        for column in sealed_columns(table):
            for row_id, value in conn.execute(select(table.c.id, column).where(column.is_not(None))):
                after.open(column, row_id, value)
                with pytest.raises(VerificationError):
                    before.open(column, row_id, value)


def test_what_the_old_keys_do_not_open_stops_it(conn: Connection, tmp_path: Path) -> None:
    row_id = new_uuid7()
    sealed = FieldCipher(OLD).seal(outbox.c.body, row_id, "hello")
    conn.execute(insert(outbox).values(id=row_id, recipient=sealed, subject=sealed, body=sealed))
    with pytest.raises(VerificationError, match=r"outbox\.recipient"):
        reseal(conn, Settings(home=tmp_path), OLD, NEW)


def test_many_rows_are_all_resealed(conn: Connection, tmp_path: Path) -> None:
    before, after = FieldCipher(OLD), FieldCipher(NEW)
    ids = [new_uuid7() for _ in range(1001)]
    columns = outbox.c.recipient, outbox.c.subject, outbox.c.body
    rows = [{"id": row_id} | {column.name: before.seal(column, row_id, "x") for column in columns} for row_id in ids]
    conn.execute(insert(outbox), rows)
    assert reseal(conn, Settings(home=tmp_path), OLD, NEW) == 1001
    for row_id, body in conn.execute(select(outbox.c.id, outbox.c.body)):
        assert after.open(outbox.c.body, row_id, body) == "x"
    assert conn.execute(update(outbox).values(sent_at=None)).rowcount == 1001
