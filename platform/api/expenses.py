"""Expenses: list, get, create, change and delete drafts, attach receipts."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import Response, jsonify, request
from werkzeug.exceptions import BadRequest, PreconditionRequired

from ...config.errors import NotFoundError, StaleVersionError
from ...tenant_schema.ids import new_uuid7
from ...tenant_schema.queries import categories, receipts, settings
from ...tenant_schema.queries import expenses as queries
from ...tenant_schema.queries.expenses import Cursor, ExpenseRow
from ...tenant_schema.queries.filters import ExpenseFilter
from ..portal.expenses import form, money, service
from ..portal.expenses.reach import viewer
from ..web import refusals, tenant
from ..web.member import current
from ..web.permissions import Permission
from . import pages, schemas
from .gate import asks
from .parsing import ApiBlueprint, Nothing
from .receipts import facts as receipt_facts
from .scopes import ApiScope

blueprint = ApiBlueprint("expenses", __name__, url_prefix="/api/v1/expenses", description="What people have spent.")
EXPENSE = schemas.Expense()
LINE = schemas.ExpenseLine()
IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "required": True,
    "schema": {"type": "string", "pattern": '^"[0-9]{1,9}"$', "example": '"1"'},
    "description": "`ETag` of the expense as it was looked at: its version in quotes.",
}


@blueprint.route("", methods=["GET"])
@blueprint.arguments(schemas.ExpenseQuery, location="query")
@blueprint.response(200, schemas.page_of(schemas.ExpenseLine))
@asks(Permission.SEE, ApiScope.EXPENSES_READ)
def index(wanted: dict[str, Any]) -> Response:
    """List expenses.

    Those that the token's member may see, latest first.
    """
    place = pages.read_cursor(wanted.get("cursor"), date.fromisoformat)
    cursor = Cursor(*place) if place else None
    page = queries.page(tenant.connection(), _filter(wanted), cursor, wanted["limit"])
    last = (page.rows[-1].spent_on, page.rows[-1].id) if page.rows and page.older else None
    return pages.respond([line(row) for row in page.rows], last)


@blueprint.route("", methods=["POST"])
@blueprint.arguments(schemas.NewExpense)
@blueprint.response(201, schemas.Expense)
@asks(Permission.SPEND, ApiScope.EXPENSES_WRITE)
def create(given: dict[str, Any]) -> Response:
    """Create a draft.

    It is the token's member's own. Send an `Idempotency-Key`, so that a repeat after a lost connection makes no second.
    """
    expense_id, receipt_ids = new_uuid7(), given.pop("receipt_ids", [])
    conn, cipher = tenant.connection(), tenant.cipher()
    service.create(conn, cipher, current(), expense_id, _read(as_form(given)), receipt_ids)
    response = _shown(expense_id, 201)
    response.headers["Location"] = f"{request.path}/{expense_id}"
    return response


@blueprint.route("/<uuid:expense_id>", methods=["GET"])
@blueprint.arguments(Nothing, location="query")
@blueprint.response(200, schemas.Expense)
@asks(Permission.SEE, ApiScope.EXPENSES_READ)
def show(_query: object, expense_id: UUID) -> Response:
    """Get an expense."""
    return _shown(expense_id)


@blueprint.route("/<uuid:expense_id>", methods=["PATCH"])
@blueprint.arguments(schemas.ExpenseChange)
@blueprint.doc(parameters=[IF_MATCH])
@blueprint.response(200, schemas.Expense)
@asks(Permission.SPEND, ApiScope.EXPENSES_WRITE)
def change(given: dict[str, Any], expense_id: UUID) -> Response:
    """Change a draft.

    Fields that are left out stay as they are. What a report brought back can be changed, too, before it goes again.
    """
    _change(expense_id, given)
    return _shown(expense_id)


@blueprint.route("/<uuid:expense_id>", methods=["DELETE"])
@blueprint.arguments(Nothing, location="query")
@blueprint.doc(parameters=[IF_MATCH])
@blueprint.response(204)
@asks(Permission.SPEND, ApiScope.EXPENSES_WRITE)
def delete(_query: object, expense_id: UUID) -> Response:
    """Delete a draft.

    Its receipts stay and can prove another expense.
    """
    _locked(expense_id)
    service.delete(tenant.connection(), current(), expense_id)
    return Response(status=204)


@blueprint.route("/<uuid:expense_id>/receipts/<uuid:receipt_id>", methods=["PUT"])
@blueprint.arguments(Nothing, location="query")
@blueprint.doc(parameters=[IF_MATCH])
@blueprint.response(200, schemas.Expense)
@asks(Permission.SPEND, ApiScope.EXPENSES_WRITE)
def attach(_query: object, expense_id: UUID, receipt_id: UUID) -> Response:
    """Attach a receipt.

    Lets an uploaded receipt prove a draft.
    """
    _change(expense_id, {"receipt_ids": list(dict.fromkeys([*_held(expense_id), receipt_id]))})
    return _shown(expense_id)


@blueprint.route("/<uuid:expense_id>/receipts/<uuid:receipt_id>", methods=["DELETE"])
@blueprint.arguments(Nothing, location="query")
@blueprint.doc(parameters=[IF_MATCH])
@blueprint.response(200, schemas.Expense)
@asks(Permission.SPEND, ApiScope.EXPENSES_WRITE)
def detach(_query: object, expense_id: UUID, receipt_id: UUID) -> Response:
    """Detach a receipt.

    The receipt itself stays.
    """
    service.find(tenant.connection(), current(), expense_id)
    held = _held(expense_id)
    if receipt_id not in held:
        raise NotFoundError("This receipt is not attached to this expense.")
    _change(expense_id, {"receipt_ids": [one for one in held if one != receipt_id]})
    return _shown(expense_id)


def line(row: ExpenseRow) -> dict[str, Any]:
    """An expense as lists show it."""
    return schemas.dumped(LINE, _amounts(row) | {"receipt_count": row.receipts})


def as_form(given: Mapping[str, Any]) -> dict[str, str]:
    """The values as the portal's form would send them, so that the form's rules decide about them."""
    typed = {name: str(value) for name, value in given.items() if value is not None}
    amount, tax = typed.get("amount", ""), typed.get("tax_amount", "")
    typed |= {"amount": amount.removeprefix("-"), "refund": "yes" if amount.startswith("-") else ""}
    typed |= {"tax_amount": tax.removeprefix("-"), "category": typed.pop("category_id", "")}
    return typed


def _change(expense_id: UUID, given: Mapping[str, Any]) -> None:
    conn, cipher, member = tenant.connection(), tenant.cipher(), current()
    version = _locked(expense_id)
    before = service.find_editable(conn, member, expense_id)
    held = _held(expense_id)
    receipt_ids = given.get("receipt_ids", held)
    merged = _as_given(before, service.note_of(cipher, before)) | dict(given)
    if given.get("currency", before.currency) != before.currency and "fx_rate" not in given:
        merged["fx_rate"] = None  # that of another currency is worth nothing
    merged.pop("receipt_ids", None)
    read = _read(as_form(merged))
    service.change(conn, cipher, member, before, version=version, given=read, receipt_ids=receipt_ids)


def _locked(expense_id: UUID) -> int:
    """The version that the caller looked at; the row is locked, so that it stays the present one.

    Raises `StaleVersionError` where it is not, and `NotFoundError` for what the member does not see.
    """
    asked = request.headers.get("If-Match")
    if asked is None:
        raise PreconditionRequired("Send the expense's ETag in the header “If-Match”.")
    conn = tenant.connection()
    queries.lock(conn, [expense_id])
    found = service.find_editable(conn, current(), expense_id)
    if len(asked) < 2 or not (asked.startswith('"') and asked.endswith('"')):
        raise BadRequest('The header “If-Match” takes one ETag in quotes, such as "1".')
    if asked.strip('"') != str(found.version):
        raise StaleVersionError("This expense was changed since you looked at it; get it again.")
    return found.version


def _held(expense_id: UUID) -> list[UUID]:
    return [one.id for one in receipts.of_expense(tenant.connection(), expense_id)]


def _as_given(one: queries.Expense, note: str) -> dict[str, Any]:
    """The expense in the words of a change that changes nothing."""
    facts = _amounts(one)
    kept = {name: facts[name] for name in ("spent_on", "merchant", "category_id", "amount", "currency", "tax_amount")}
    known = one.currency != one.base_currency == settings.base_currency(tenant.connection())
    return kept | {"fx_rate": _plain(one.fx_rate) if known else None, "note": note}


def _shown(expense_id: UUID, status: int = 200) -> Response:
    conn, cipher = tenant.connection(), tenant.cipher()
    one = service.find(conn, current(), expense_id)
    held = [receipt_facts(found) for found in receipts.of_expense(conn, expense_id)]
    more = {"note": service.note_of(cipher, one), "fx_rate": _plain(one.fx_rate), "receipts": held}
    response = jsonify(schemas.dumped(EXPENSE, _amounts(one) | more))
    response.status_code = status
    response.set_etag(str(one.version))
    return response


def _amounts(one: ExpenseRow | queries.Expense) -> dict[str, Any]:
    """The fields of a row, its amounts as text with the currency's digits."""
    facts = asdict(one)
    for name, currency in (("amount", "currency"), ("tax_amount", "currency"), ("base_amount", "base_currency")):
        value = facts.get(name)
        if value is not None:
            facts[name] = written(value, facts[currency])
    return facts


def written(amount: Decimal, currency: str) -> str:
    """An amount with the digits that its currency has."""
    return f"{amount:.{money.digits_of(currency)}f}"


def _plain(rate: Decimal) -> str:
    return f"{rate.normalize():f}"


def _read(typed: Mapping[str, str]) -> form.ExpenseInput:
    conn = tenant.connection()
    offered = {one.id for one in categories.list_all(conn)}
    refusals.note_unknown([typed.get("category", "")], offered)
    return form.read(typed, settings.base_currency(conn), offered, datetime.now(UTC).date())


def _filter(wanted: Mapping[str, Any]) -> ExpenseFilter:
    return replace(
        viewer(current()),
        text=wanted.get("q", "").strip(),
        categories=tuple(wanted.get("category_id", ())),
        members=tuple(wanted.get("member_id", ())),
        states=tuple(wanted.get("state", ())),
        since=wanted.get("since"),
        until=wanted.get("until"),
        least=_decimal(wanted.get("least")),
        most=_decimal(wanted.get("most")),
    )


def _decimal(text: str | None) -> Decimal | None:
    return Decimal(text) if text else None
