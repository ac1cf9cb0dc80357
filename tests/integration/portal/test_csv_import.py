"""CSV files into a real workspace: all or nothing, with a sentence for each rejected row."""

import io
import resource
import time
from collections.abc import Callable, Generator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from PIL import Image
from sqlalchemy import Connection, func, select

from strongroom.config.errors import CallError
from strongroom.platform.keys import FieldCipher
from strongroom.platform.keys.receipts import ReceiptVault
from strongroom.platform.portal.imports.service import ImportResult, import_csv
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.queries import categories
from strongroom.tenant_schema.tables import audit_event, category, expense, expense_receipt, receipt

Portal = Any  # the class is in visitors.py
Load = Callable[..., ImportResult]


@pytest.fixture
def conn(portal: Portal) -> Generator[Connection]:
    """A transaction in the workspace that is rolled back in the end."""
    with portal.platform.registry.connect(portal.workspaces["acme"]) as opened, opened.begin() as transaction:
        yield opened
        transaction.rollback()


@pytest.fixture
def vault(portal: Portal) -> ReceiptVault:
    keys = portal.platform.keys.tenant(portal.workspaces["acme"].id)
    return ReceiptVault(portal.platform.settings, keys)


@pytest.fixture
def load(portal: Portal, conn: Connection, vault: ReceiptVault, tmp_path: Path) -> Load:
    cipher = FieldCipher(portal.platform.keys.tenant(portal.workspaces["acme"].id))

    def run(text: str | bytes, receipts: Path | None = None, progress: Any = None) -> ImportResult:
        file = tmp_path / "spend.csv"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        owner: UUID = portal.people["acme", Role.OWNER]
        return import_csv(
            conn, cipher, vault, file, receipts, base_currency="GBP", default_member_id=owner, progress=progress
        )

    return run


def rows_in(conn: Connection, merchant: str) -> list[Any]:
    return list(conn.execute(select(expense).where(expense.c.merchant.like(merchant)).order_by(expense.c.merchant)))


def test_rows_become_drafts_of_the_members_they_name(load: Load, conn: Connection, portal: Portal) -> None:
    told: list[int] = []
    text = (
        "Datum;Merchant;Betrag;Currency;Category;E-mail;Note;FX rate\r\n"
        f"12.03.2024;CSV Hotel;1.234,50;;Zirkus;{portal.email(Role.MEMBER)};Süß;\r\n"
        "2024-03-13;CSV Taxi;-12,5;EUR;zirkus;;;0,85\r\n"
    )
    done = load(text.encode("cp1252"), progress=told.append)
    assert (done.accepted, done.read, done.imported, done.new_categories) == (True, 2, 2, ["Zirkus"])
    assert told[-1] == 2
    hotel, taxi = rows_in(conn, "CSV %")
    assert (hotel.member_id, hotel.amount, hotel.state) == (portal.people["acme", Role.MEMBER], 1234.5, "draft")
    assert (taxi.member_id, taxi.amount) == (portal.people["acme", Role.OWNER], Decimal("-12.50"))
    assert taxi.base_amount == Decimal("-10.62")
    assert hotel.category_id == taxi.category_id
    assert hotel.note is not None
    assert taxi.note is None
    assert conn.scalars(select(audit_event.c.detail).where(audit_event.c.action == "expenses.imported")).all() == [
        {"count": 2}
    ]


def test_one_wrong_row_and_nothing_is_stored(load: Load, conn: Connection) -> None:
    before = conn.scalar(select(func.count()).select_from(category))
    done = load(
        "date,merchant,amount,category\n"
        "12/03/2024,CSV One,1.00,Brand new\n"
        "12/03/2024,CSV Two,NaN,\n"
        "soon,CSV Three,1.00,\n"
        "12/03/2024,CSV Four\n"
    )
    assert (done.accepted, done.read, done.imported, done.rejected_count) == (False, 4, 0, 3)
    assert [(row.line, row.sentence) for row in done.rejected] == [
        (3, "Write the amount in digits, such as 12.50."),
        (4, "Write the date in digits, day first, as in 12/03/2024."),
        (5, "This row has 2 cells, the header has 4."),
    ]
    assert rows_in(conn, "CSV %") == []
    assert conn.scalar(select(func.count()).select_from(category)) == before
    assert conn.scalar(select(1)) == 1  # the caller's transaction goes on


def test_receipts_come_along_sealed(load: Load, conn: Connection, tmp_path: Path, vault: ReceiptVault) -> None:
    folder = tmp_path / "receipts"
    folder.mkdir()
    out = io.BytesIO()
    Image.new("RGB", (60, 90), "white").save(out, "JPEG")
    (folder / "1.jpg").write_bytes(out.getvalue())
    done = load("date,merchant,amount,receipt\n12/03/2024,CSV Shop,1.00,1.jpg\n12/03/2024,CSV Bare,2.00,\n", folder)
    assert (done.imported, done.receipts) == (2, 1)
    (shop,) = rows_in(conn, "CSV Shop")
    link = select(expense_receipt.c.receipt_id).where(expense_receipt.c.expense_id == shop.id)
    stored = conn.execute(select(receipt).where(receipt.c.id == link.scalar_subquery())).one()
    assert stored.content_mac == vault.content_mac(out.getvalue())
    assert Image.open(io.BytesIO(vault.load(stored.id, stored.object))).size == (60, 90)


def test_a_wrong_receipt_rejects_its_row_and_leaves_no_blob(
    load: Load, conn: Connection, tmp_path: Path, vault: ReceiptVault
) -> None:
    before = sum(1 for _ in vault.objects())
    out = io.BytesIO()
    Image.new("RGB", (60, 90)).save(out, "PNG")
    (tmp_path / "good.png").write_bytes(out.getvalue())
    (tmp_path / "bad.jpg").write_bytes(b"<svg/>")
    done = load(
        "date,merchant,amount,receipt\n12/03/2024,CSV A,1.00,good.png\n12/03/2024,CSV B,1.00,bad.jpg\n", tmp_path
    )
    assert [(row.line, "SVG files are not accepted" in row.sentence) for row in done.rejected] == [(3, True)]
    assert sum(1 for _ in vault.objects()) == before
    missing = load("date,merchant,amount,receipt\n12/03/2024,CSV A,1.00,gone.png\n", tmp_path)
    assert missing.rejected[0].sentence == "There is no receipt gone.png in the folder."
    without = load("date,merchant,amount,receipt\n12/03/2024,CSV A,1.00,good.png\n")
    assert "no folder of receipts was given" in without.rejected[0].sentence
    assert rows_in(conn, "CSV %") == []


def test_a_column_of_free_text_is_not_taken_for_categories(load: Load, conn: Connection) -> None:
    lines = "".join(f"12/03/2024,CSV X,1.00,text {number}\n" for number in range(201))
    before = categories.list_all(conn)
    with pytest.raises(CallError, match="more than 200 new categories"):
        load(f"date,merchant,amount,category\n{lines}")
    assert categories.list_all(conn) == before
    assert rows_in(conn, "CSV %") == []


def test_a_hundred_thousand_rows_take_seconds_and_little_memory(load: Load, conn: Connection) -> None:
    line = "12/03/2024,CSV Many,{}.37,GBP,Travel,note 4111 1111 1111 1111\n"
    text = "date,merchant,amount,currency,category,note\n" + "".join(line.format(n) for n in range(1, 100_001))
    begun, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = load(text)
    assert (done.imported, done.rejected_count) == (100_000, 0)
    assert time.process_time() - begun < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 64 * 1024  # kilobytes
    assert conn.scalar(select(func.count()).where(expense.c.merchant == "CSV Many")) == 100_000
