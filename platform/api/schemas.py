"""What goes in and out, as marshmallow knows it and the reference shows it.

Amounts are texts, so that no program reads them as binary fractions; dates are ISO 8601; ids are UUIDs. A field that is
not listed here is refused when it comes in, and never goes out.
"""

from typing import Any, Final, cast

from marshmallow import Schema, fields
from marshmallow.validate import Length, OneOf, Range

from ...tenant_schema.queries.filters import SHOWN_STATES
from ...tenant_schema.tables import PAYMENT_STATES, REPORT_STATES
from ..portal.expenses.form import MERCHANT_LENGTH, NOTE_LENGTH
from ..portal.reports.service import MOST_AT_ONCE, REASON_LENGTH
from ..web.permissions import Role
from .kinds import (
    ABOUT_AMOUNTS,
    ABOUT_RATES,
    AN_ID,
    DECIMAL,
    RATE,
    Strict,
    Words,
    an_id,
    number,
    several,
    shown,
    shown_amount,
)
from .pages import MOST, USUAL
from .scopes import ApiScope

ANOTHER_ID: Final = "0192f5c4-8a10-7b44-8c1e-95d1f1f0ce02"
MOST_RECEIPTS: Final = 50


class PageQuery(Strict):
    """Which page of a list."""

    limit = fields.Integer(
        load_default=USUAL, validate=Range(1, MOST), metadata={"description": "How many rows a page has."}
    )
    cursor = Words(validate=Length(max=1000), metadata={"description": "From `next` of the page before."})


class ExpenseQuery(PageQuery):
    """Which expenses. Values of one kind add up, kinds narrow down."""

    q = Words(validate=Length(max=200), metadata={"description": "Part of the merchant's name."})
    category_id = several(an_id(), "Of one of these categories.")
    member_id = several(an_id(), "Of one of these members.")
    state = several(fields.String(validate=OneOf(SHOWN_STATES)), "In one of these states.")
    since = fields.Date(metadata={"description": "First day."})
    until = fields.Date(metadata={"description": "Last day."})
    least = number(DECIMAL, "10", "Smallest amount, in the workspace's currency.")
    most = number(DECIMAL, "500.00", "Largest amount, in the workspace's currency.")


class ReportQuery(PageQuery):
    """Which reports."""

    state = several(fields.String(validate=OneOf(REPORT_STATES)), "In one of these states.")
    payment = several(fields.String(validate=OneOf(PAYMENT_STATES)), "Paid, due to be paid, or neither.")
    member_id = several(an_id(), "Of one of these members.")


class ExpenseChange(Strict):
    """Fields of a draft to change; those left out stay."""

    spent_on = fields.Date(metadata={"example": "2026-03-12"})
    merchant = Words(validate=Length(1, MERCHANT_LENGTH), metadata={"example": "Hotel Adler"})
    category_id = an_id()
    amount = number(DECIMAL, "118.40", ABOUT_AMOUNTS)
    currency = Words(validate=Length(3, 3), metadata={"example": "EUR", "description": "ISO 4217."})
    tax_amount = number(DECIMAL, "7.74", "The part of the amount that is tax.", allow_none=True)
    fx_rate = number(RATE, "0.8532", ABOUT_RATES, allow_none=True)
    note = Words(validate=Length(max=NOTE_LENGTH), metadata={"example": "Client visit"})
    receipt_ids = fields.List(
        fields.UUID(),
        validate=Length(max=MOST_RECEIPTS),
        metadata={"example": [ANOTHER_ID], "description": "The receipts that prove it, in this order."},
    )


class NewExpense(ExpenseChange):
    """A draft to create."""

    spent_on = fields.Date(required=True, metadata={"example": "2026-03-12"})
    merchant = Words(required=True, validate=Length(1, MERCHANT_LENGTH), metadata={"example": "Hotel Adler"})
    category_id = an_id(required=True)
    amount = number(DECIMAL, "118.40", ABOUT_AMOUNTS, required=True)


class ExpenseLine(Schema):
    """One expense in a list."""

    id = shown(fields.UUID, example=AN_ID)
    member_id = shown(fields.UUID)
    category_id = shown(fields.UUID)
    category = shown(fields.String, example="Travel")
    report_id = shown(fields.UUID, allow_none=True)
    state = shown(fields.String, validate=OneOf(SHOWN_STATES), example="draft")
    spent_on = shown(fields.Date, example="2026-03-12")
    merchant = shown(fields.String, example="Hotel Adler")
    amount = shown_amount("118.40")
    currency = shown(fields.String, example="EUR")
    base_amount = shown_amount("101.02", metadata={"description": "In the workspace's currency."})
    base_currency = shown(fields.String, example="GBP")
    version = shown(fields.Integer, example=1)
    receipt_count = shown(fields.Integer, example=1)


class Receipt(Schema):
    """A receipt without its content."""

    id = shown(fields.UUID, example=ANOTHER_ID)
    file_name = shown(fields.String, example="hotel.jpg")
    media_type = shown(fields.String, example="image/jpeg")
    size = shown(fields.Integer, metadata={"description": "Bytes."}, example=183_220)
    width = shown(fields.Integer, allow_none=True)
    height = shown(fields.Integer, allow_none=True)
    created_at = shown(fields.DateTime)
    content = shown(fields.String, example=f"/api/v1/receipts/{ANOTHER_ID}/content")


class Expense(ExpenseLine):
    """One expense with everything that belongs to it."""

    class Meta:
        """For marshmallow."""

        exclude = ("receipt_count",)

    tax_amount = shown_amount("7.74", allow_none=True)
    fx_rate = shown(fields.String, example="0.8532")
    fx_source = shown(fields.String, allow_none=True)
    note = shown(fields.String, example="Client visit")
    created_at = shown(fields.DateTime)
    changed_at = shown(fields.DateTime)
    receipts = shown(fields.List, fields.Nested(Receipt))


class Upload(Strict):
    """A receipt's file."""

    file = fields.Raw(required=True, metadata={"type": "string", "format": "binary"})


class NewReport(Strict):
    """Drafts to submit together."""

    expense_ids = fields.List(
        fields.UUID(), required=True, validate=Length(1, MOST_AT_ONCE), metadata={"example": [AN_ID]}
    )


class Decision(Strict):
    """An approval of the report as it was looked at."""

    version = fields.Integer(
        required=True, strict=True, validate=Range(1), metadata={"example": 1, "description": "That was looked at."}
    )


class Return(Decision):
    """A return with its reason."""

    reason = Words(required=True, validate=Length(1, REASON_LENGTH), metadata={"example": "Which project was it for?"})


class ReportLine(Schema):
    """One report in a list. `approver_id` of null: any Admin or Owner decides."""

    id = shown(fields.UUID, example=AN_ID)
    member_id = shown(fields.UUID)
    title = shown(fields.String, example="Hotel Adler and 2 others")
    state = shown(fields.String, validate=OneOf(REPORT_STATES))
    payment = shown(fields.String, validate=OneOf(PAYMENT_STATES))
    version = shown(fields.Integer, example=1)
    submitted_at = shown(fields.DateTime)
    decided_at = shown(fields.DateTime, allow_none=True)
    paid_at = shown(fields.DateTime, allow_none=True)
    approver_id = shown(fields.UUID, allow_none=True)
    decided_by = shown(fields.UUID, allow_none=True)


class Report(ReportLine):
    """One report with its expenses."""

    return_reason = shown(fields.String, allow_none=True)
    base_amount = shown_amount("101.02", metadata={"description": "Sum of the expenses, in `base_currency`."})
    base_currency = shown(fields.String, example="GBP")
    expenses = shown(fields.List, fields.Nested(ExpenseLine))


class Member(Schema):
    """A person in the workspace."""

    id = shown(fields.UUID, example=AN_ID)
    name = shown(fields.String, example="Mina Farouk")
    email = shown(fields.String, example="mina@example.com")
    role = shown(fields.String, validate=OneOf(list(Role)))
    created_at = shown(fields.DateTime)
    last_seen_at = shown(fields.DateTime, allow_none=True)


class Category(Schema):
    """What an expense is filed under. One that is not active is kept for what was filed before."""

    id = shown(fields.UUID, example=AN_ID)
    name = shown(fields.String, example="Travel")
    active = shown(fields.Boolean)


class Workspace(Schema):
    """The workspace of the token."""

    name = shown(fields.String, example="Harbour Studio")
    address = shown(fields.String, example="https://harbour-studio.example.com")
    base_currency = shown(fields.String, example="GBP")


class TokenFacts(Schema):
    """The token itself."""

    id = shown(fields.UUID)
    scopes = shown(fields.List, fields.String(validate=OneOf(list(ApiScope))))
    expires_at = shown(fields.DateTime)


class Me(Schema):
    """Whom the token speaks for, and where."""

    id = shown(fields.UUID, example=AN_ID)
    name = shown(fields.String, example="Mina Farouk")
    email = shown(fields.String, example="mina@example.com")
    role = shown(fields.String, validate=OneOf(list(Role)))
    workspace = shown(fields.Nested, Workspace)
    token = shown(fields.Nested, TokenFacts)


class WrongField(Schema):
    """One value that is not right."""

    field = shown(fields.String, example="amount")
    message = shown(fields.String, example="Amounts in JPY have no decimal places.")


class Problem(Schema):
    """Why a request was not carried out (RFC 9457)."""

    type = shown(fields.String, example="about:blank")
    title = shown(fields.String, example="Unprocessable Entity")
    status = shown(fields.Integer, example=422)
    detail = shown(fields.String, example="Amounts in JPY have no decimal places.")
    errors = fields.List(fields.Nested(WrongField))  # pyright: ignore[reportUnknownVariableType]
    reference = fields.String(metadata={"description": "Of an error on our side: quote it when you write to us."})


def dumped(schema: Schema, one: object) -> dict[str, Any]:
    """`one` as the schema has it go out."""
    return cast(dict[str, Any], schema.dump(one))


def page_of(line: type[Schema]) -> type[Schema]:
    """The schema of one page of such lines."""
    following = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Address of the next page; null on the last.", "example": None},
    )
    return Schema.from_dict(  # pyright: ignore[reportUnknownMemberType]
        {"data": shown(fields.List, fields.Nested(line)), "next": following}, name=f"{line.__name__}Page"
    )
