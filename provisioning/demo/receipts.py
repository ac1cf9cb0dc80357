"""The scanned receipts of the demo: each becomes an expense with its picture; the totals are as printed."""

from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from uuid import UUID

from ...platform.keys import FieldCipher
from ...platform.keys.receipts import ReceiptVault
from ...platform.portal.receipts.service import sealed_row
from ...tenant_schema.ids import new_uuid7
from .merchants import Trade
from .source import ScannedReceipt, Source
from .spending import DemoExpense
from .workspace import BASE_CURRENCY, Row, expense_row

CATEGORY_OF = {Trade.SUPPLIES: "Supplies and materials", Trade.TRAVEL: "Travel", Trade.EQUIPMENT: "Equipment"}
# Yearly averages, US dollars for one unit, rounded; what a person would have typed in.
_RATES = {
    "MYR": {2017: Decimal("0.2326"), 2018: Decimal("0.2480"), 2019: Decimal("0.2414")},
    "EUR": {2024: Decimal("1.0824")},
}
_EATING = ("RESTAURANT", "KITCHEN", "BISTRO", "ROAST", "TASTE", "STOOGES", "SIN DU", "WARAKUYA", "UNIHAKKA", "REST AND")
_TOOLS = ("HARDWARE", "D.I.Y", "MACHINERY", "MOTOR", "ELECTRICAL")


@dataclass
class ReceiptRows:
    """What goes into each table; a receipt without a known total waits, unattached, for its expense."""

    receipts: list[Row] = field(default_factory=list[Row])
    expenses: list[Row] = field(default_factory=list[Row])
    links: list[tuple[UUID, UUID]] = field(default_factory=list[tuple[UUID, UUID]])


def receipt_rows(
    source: Source,
    member_id: UUID,
    categories: dict[str, UUID],
    cipher: FieldCipher,
    vault: ReceiptVault,
) -> ReceiptRows:
    """Seal and store the pictures, and return the rows that go with them. All belong to `member_id`."""
    rows = ReceiptRows()
    for scan in source.receipts:
        content = scan.picture.read_bytes()
        receipt = sealed_row(cipher, vault, new_uuid7(), member_id, scan.picture.name, content)
        rows.receipts.append(receipt)
        if scan.total is not None:
            expense = _expense(scan, scan.total, source, member_id, categories, cipher)
            rows.expenses.append(expense)
            rows.links.append((expense["id"], receipt["id"]))
    return rows


def rate_on(currency: str, day: date) -> Decimal:
    """US dollars for one unit of `currency` in the year of `day`, or in the nearest year that is known."""
    known = _RATES[currency]
    return known[min(known, key=lambda year: abs(year - day.year))]


def _expense(
    scan: ScannedReceipt,
    total: Decimal,
    source: Source,
    member_id: UUID,
    categories: dict[str, UUID],
    cipher: FieldCipher,
) -> dict[str, Any]:
    category = CATEGORY_OF[_trade(scan.merchant)]
    item = DemoExpense(category, scan.on, scan.merchant.title(), total, 0, source.receipt_notice)
    currency = source.receipt_currency
    rate = rate_on(currency, scan.on)
    return expense_row(item, member_id, categories[category], "draft", None, cipher) | {
        "currency": currency,
        "fx_rate": rate,
        "fx_date": scan.on,
        "fx_source": f"yearly average {scan.on.year}",
        "base_amount": (total * rate).quantize(Decimal("0.01"), ROUND_HALF_EVEN),
        "base_currency": BASE_CURRENCY,
    }


def _trade(merchant: str) -> Trade:
    if any(word in merchant for word in _EATING):
        return Trade.TRAVEL
    return Trade.EQUIPMENT if any(word in merchant for word in _TOOLS) else Trade.SUPPLIES
