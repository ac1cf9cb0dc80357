"""What goes in and out, as marshmallow knows it and the reference shows it.

Amounts are texts, so that no program reads them as binary fractions; dates are ISO 8601; ids are UUIDs. A field that is
not listed here is refused when it comes in, and never goes out.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from marshmallow import RAISE, Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf, Range, Regexp

from ...tenant_schema.queries.filters import SHOWN_STATES
from ...tenant_schema.tables import PAYMENT_STATES, REPORT_STATES
from ..portal.expenses.form import MERCHANT_LENGTH, NOTE_LENGTH
from ..portal.reports.service import MOST_AT_ONCE, REASON_LENGTH
from ..web.permissions import Role
from .pages import MOST, USUAL
from .scopes import ApiScope

AN_ID: Final = "0192f5c4-7d3b-7c1a-9a55-3f0f6a1d2b11"
ANOTHER_ID: Final = "0192f5c4-8a10-7b44-8c1e-95d1f1f0ce02"
ABOUT_AMOUNTS: Final = "Negative for a refund; with at most the digits that the currency has."
ABOUT_RATES: Final = "What one unit of the currency is worth in the workspace's; needed where the two differ."
MOST_FILTERS: Final = 100
MOST_RECEIPTS: Final = 50
_DECIMAL: Final = r"-?[0-9]{1,13}(\.[0-9]{1,4})?"
_RATE: Final = r"[0-9]{1,8}(\.[0-9]{1,10})?"


class Words(fields.String):
    """Text that can be stored: no NUL and no half of a surrogate pair, which JSON can spell."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)  # pyright: ignore[reportUnknownMemberType]
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValidationError("Not a valid text.") from error
        if "\0" in text:
            raise ValidationError("Not a valid text.")
        return text


def _number(pattern: str, example: str, about: str, **more: Any) -> Words:
    """A decimal number as text. Python's `$` lets a line end stand after it, so it is not asked."""
    shape = Regexp(re.compile(rf"{pattern}\Z", re.ASCII), error=f"Write it as “{example}”.")
    described = {"pattern": f"^{pattern}$", "example": example, "description": about}
    return Words(validate=shape, metadata=described, **more)


def _several(one: fields.Field[Any], about: str) -> Any:
    """A parameter that may be given several times."""
    return fields.List(one, validate=Length(max=MOST_FILTERS), metadata={"description": f"{about} Can be repeated."})


class Strict(Schema):
    """A schema for what comes in."""

    class Meta:
        """For marshmallow."""

        unknown = RAISE


def _id(**more: Any) -> fields.UUID:
    return fields.UUID(metadata={"example": AN_ID} | more.pop("metadata", {}), **more)


def _shown(kind: type[fields.Field[Any]], *arguments: Any, example: Any = None, **more: Any) -> Any:
    """A field that always goes out."""
    metadata = {"example": example} if example is not None else {}
    return kind(*arguments, required=True, metadata=metadata | more.pop("metadata", {}), **more)


def _amount(text: str = "12.50", **more: Any) -> Any:
    return _shown(Words, example=text, **more)


class PageQuery(Strict):
    """Which page of a list."""

    limit = fields.Integer(
        load_default=USUAL, validate=Range(1, MOST), metadata={"description": "How many rows a page has."}
    )
    cursor = Words(validate=Length(max=1000), metadata={"description": "From `next` of the page before."})


class ExpenseQuery(PageQuery):
    """Which expenses. Values of one kind add up, kinds narrow down."""

    q = Words(validate=Length(max=200), metadata={"description": "Part of the merchant's name."})
    category_id = _several(_id(), "Of one of these categories.")
    member_id = _several(_id(), "Of one of these members.")
    state = _several(fields.String(validate=OneOf(SHOWN_STATES)), "In one of these states.")
    since = fields.Date(metadata={"description": "First day."})
    until = fields.Date(metadata={"description": "Last day."})
    least = _number(_DECIMAL, "10", "Smallest amount, in the workspace's currency.")
    most = _number(_DECIMAL, "500.00", "Largest amount, in the workspace's currency.")


class ReportQuery(PageQuery):
    """Which reports."""

    state = _several(fields.String(validate=OneOf(REPORT_STATES)), "In one of these states.")
    payment = _several(fields.String(validate=OneOf(PAYMENT_STATES)), "Paid, due to be paid, or neither.")
    member_id = _several(_id(), "Of one of these members.")


class ExpenseChange(Strict):
    """Fields of a draft to change; those left out stay."""

    spent_on = fields.Date(metadata={"example": "2026-03-12"})
    merchant = Words(validate=Length(1, MERCHANT_LENGTH), metadata={"example": "Hotel Adler"})
    category_id = _id()
    amount = _number(_DECIMAL, "118.40", ABOUT_AMOUNTS)
    currency = Words(validate=Length(3, 3), metadata={"example": "EUR", "description": "ISO 4217."})
    tax_amount = _number(_DECIMAL, "7.74", "The part of the amount that is tax.", allow_none=True)
    fx_rate = _number(_RATE, "0.8532", ABOUT_RATES, allow_none=True)
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
    category_id = _id(required=True)
    amount = _number(_DECIMAL, "118.40", ABOUT_AMOUNTS, required=True)


class ExpenseLine(Schema):
    """One expense in a list."""

    id = _shown(fields.UUID, example=AN_ID)
    member_id = _shown(fields.UUID)
    category_id = _shown(fields.UUID)
    category = _shown(fields.String, example="Travel")
    report_id = _shown(fields.UUID, allow_none=True)
    state = _shown(fields.String, validate=OneOf(SHOWN_STATES), example="draft")
    spent_on = _shown(fields.Date, example="2026-03-12")
    merchant = _shown(fields.String, example="Hotel Adler")
    amount = _amount("118.40")
    currency = _shown(fields.String, example="EUR")
    base_amount = _amount("101.02", metadata={"description": "In the workspace's currency."})
    base_currency = _shown(fields.String, example="GBP")
    version = _shown(fields.Integer, example=1)
    receipt_count = _shown(fields.Integer, example=1)


class Receipt(Schema):
    """A receipt without its content."""

    id = _shown(fields.UUID, example=ANOTHER_ID)
    file_name = _shown(fields.String, example="hotel.jpg")
    media_type = _shown(fields.String, example="image/jpeg")
    size = _shown(fields.Integer, metadata={"description": "Bytes."}, example=183_220)
    width = _shown(fields.Integer, allow_none=True)
    height = _shown(fields.Integer, allow_none=True)
    created_at = _shown(fields.DateTime)
    content = _shown(fields.String, example=f"/api/v1/receipts/{ANOTHER_ID}/content")


class Expense(ExpenseLine):
    """One expense with everything that belongs to it."""

    class Meta:
        """For marshmallow."""

        exclude = ("receipt_count",)

    tax_amount = _amount("7.74", allow_none=True)
    fx_rate = _shown(fields.String, example="0.8532")
    fx_source = _shown(fields.String, allow_none=True)
    note = _shown(fields.String, example="Client visit")
    created_at = _shown(fields.DateTime)
    changed_at = _shown(fields.DateTime)
    receipts = _shown(fields.List, fields.Nested(Receipt))


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

    id = _shown(fields.UUID, example=AN_ID)
    member_id = _shown(fields.UUID)
    title = _shown(fields.String, example="Hotel Adler and 2 others")
    state = _shown(fields.String, validate=OneOf(REPORT_STATES))
    payment = _shown(fields.String, validate=OneOf(PAYMENT_STATES))
    version = _shown(fields.Integer, example=1)
    submitted_at = _shown(fields.DateTime)
    decided_at = _shown(fields.DateTime, allow_none=True)
    paid_at = _shown(fields.DateTime, allow_none=True)
    approver_id = _shown(fields.UUID, allow_none=True)
    decided_by = _shown(fields.UUID, allow_none=True)


class Report(ReportLine):
    """One report with its expenses."""

    return_reason = _shown(fields.String, allow_none=True)
    base_amount = _amount("101.02", metadata={"description": "Sum of the expenses, in `base_currency`."})
    base_currency = _shown(fields.String, example="GBP")
    expenses = _shown(fields.List, fields.Nested(ExpenseLine))


class Member(Schema):
    """A person in the workspace."""

    id = _shown(fields.UUID, example=AN_ID)
    name = _shown(fields.String, example="Mina Farouk")
    email = _shown(fields.String, example="mina@example.com")
    role = _shown(fields.String, validate=OneOf(list(Role)))
    created_at = _shown(fields.DateTime)
    last_seen_at = _shown(fields.DateTime, allow_none=True)


class Category(Schema):
    """What an expense is filed under. One that is not active is kept for what was filed before."""

    id = _shown(fields.UUID, example=AN_ID)
    name = _shown(fields.String, example="Travel")
    active = _shown(fields.Boolean)


class Workspace(Schema):
    """The workspace of the token."""

    name = _shown(fields.String, example="Harbour Studio")
    address = _shown(fields.String, example="https://harbour-studio.example.com")
    base_currency = _shown(fields.String, example="GBP")


class TokenFacts(Schema):
    """The token itself."""

    id = _shown(fields.UUID)
    scopes = _shown(fields.List, fields.String(validate=OneOf(list(ApiScope))))
    expires_at = _shown(fields.DateTime)


class Me(Schema):
    """Whom the token speaks for, and where."""

    id = _shown(fields.UUID, example=AN_ID)
    name = _shown(fields.String, example="Mina Farouk")
    email = _shown(fields.String, example="mina@example.com")
    role = _shown(fields.String, validate=OneOf(list(Role)))
    workspace = _shown(fields.Nested, Workspace)
    token = _shown(fields.Nested, TokenFacts)


class WrongField(Schema):
    """One value that is not right."""

    field = _shown(fields.String, example="amount")
    message = _shown(fields.String, example="Amounts in JPY have no decimal places.")


class Problem(Schema):
    """Why a request was not carried out (RFC 9457)."""

    type = _shown(fields.String, example="about:blank")
    title = _shown(fields.String, example="Unprocessable Entity")
    status = _shown(fields.Integer, example=422)
    detail = _shown(fields.String, example="Amounts in JPY have no decimal places.")
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
        {"data": _shown(fields.List, fields.Nested(line)), "next": following}, name=f"{line.__name__}Page"
    )
