"""Expenses: list, new, show and change, delete."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ....config.errors import CallError, StaleVersionError
from ....tenant_schema.ids import new_uuid7
from ....tenant_schema.queries import categories, expenses, history, receipts, reports, settings, totals
from ....tenant_schema.queries.expenses import Expense, Page
from ....tenant_schema.queries.filters import ExpenseFilter
from ....tenant_schema.tables import report as report_table
from ...web import refusals, tenant
from ...web.member import current
from ...web.permissions import Permission, requires
from ..receipts.routes import shown_receipts
from ..reports import service as report_service
from ..reports.routes import said
from . import form, listing, money, reach, service
from .form import ExpenseInput, FormError
from .timeline import sentences

blueprint = Blueprint("expenses", __name__, url_prefix="/expenses", template_folder="templates")

PAGE_SIZE = 50


@blueprint.get("")
@requires(Permission.SEE)
def index() -> ResponseReturnValue:
    """The filtered list. For htmx only the part that a filter changes."""
    viewer = reach.viewer(current())
    chosen, errors = listing.read(request.args, viewer)
    partial = request.headers.get("HX-Request") == "true" and "HX-History-Restore-Request" not in request.headers
    template = "expenses/results.html" if partial else "expenses/index.html"
    response = make_response(render_template(template, chosen=chosen, errors=errors, **_list_facts(chosen)))
    response.headers["Vary"] = "HX-Request"
    if partial:
        response.headers["HX-Push-Url"] = url_for("expenses.index", **listing.write(chosen))
    return response


@blueprint.get("/new")
@requires(Permission.SPEND)
def new() -> ResponseReturnValue:
    """An empty form, beside the receipts that were just uploaded."""
    today = datetime.now(UTC).date()
    typed = {
        "id": str(new_uuid7()),
        "spent_on": today.strftime("%d/%m/%Y"),
        "currency": settings.base_currency(tenant.connection()),
    }
    return _form_page(typed, receipt_ids=_ids(request.args.getlist("receipt")))


@blueprint.post("/new")
@requires(Permission.SPEND)
def create() -> ResponseReturnValue:
    """Save a new draft; a second click on the same form saves nothing more."""
    receipt_ids = _ids(request.form.getlist("receipt"))
    expense_id = _one_id(request.form.get("id", ""))
    try:
        given = _read_form()
    except FormError as error:
        return make_response(_form_page(request.form, receipt_ids=receipt_ids, errors=error.errors), 422)
    service.create(tenant.connection(), tenant.cipher(), current(), expense_id, given, receipt_ids)
    return _after_save(expense_id, "Saved as a draft.")


@blueprint.get("/<uuid:expense_id>")
@requires(Permission.SEE)
def show(expense_id: UUID) -> ResponseReturnValue:
    """One expense: a form for one's own draft, otherwise its facts."""
    conn, member = tenant.connection(), current()
    found = service.find(conn, member, expense_id)
    held = [one.id for one in receipts.of_expense(conn, expense_id)]
    if found.member_id == member.id and found.editable and member.may(Permission.SPEND):
        added = _ids(request.args.getlist("receipt"))
        return _form_page(_typed(found), receipt_ids=[*held, *added], expense=found)
    return _facts_page(found, held)


@blueprint.post("/<uuid:expense_id>")
@requires(Permission.SPEND)
def change(expense_id: UUID) -> ResponseReturnValue:
    """Save a draft over the version that the form was opened with."""
    conn = tenant.connection()
    before = service.find_editable(conn, current(), expense_id)
    receipt_ids = _ids(request.form.getlist("receipt"))
    version = request.form.get("version", -1, type=int)
    try:
        given = _read_form()
        cipher = tenant.cipher()
        service.change(conn, cipher, current(), before, version=version, given=given, receipt_ids=receipt_ids)
    except FormError as error:
        page = _form_page(request.form, receipt_ids=receipt_ids, errors=error.errors, expense=before)
        return make_response(page, 422)
    except StaleVersionError as error:
        return make_response(_stale_page(before, receipt_ids, str(error)), 409)
    return _after_save(expense_id, "Saved.")


@blueprint.post("/<uuid:expense_id>/delete")
@requires(Permission.SPEND)
def delete(expense_id: UUID) -> ResponseReturnValue:
    """Delete a draft."""
    service.delete(tenant.connection(), current(), expense_id)
    flash("The draft is deleted.")
    return redirect(url_for("expenses.index"), 303)


def _list_facts(chosen: ExpenseFilter) -> dict[str, Any]:
    """What the list shows besides the filter itself."""
    conn, member = tenant.connection(), current()
    page = expenses.page(conn, chosen, listing.read_cursor(request.args), PAGE_SIZE)
    offered = categories.list_all(conn)
    people = reach.names(conn, tenant.cipher()) if reach.sees_others(member) else {member.id: member.name}
    refusals.note_unknown(chosen.categories, [one.id for one in offered])
    if reach.sees_others(member):
        refusals.note_unknown(chosen.members, people)
    base = settings.base_currency(conn)
    return {
        "page": page,
        "totals": totals.of(conn, chosen),
        "categories": offered,
        "people": people,
        "chips": listing.chips(chosen, {one.id: one.name for one in offered}, people, base),
        "base_currency": base,
        "states": listing.STATE_LABELS,
        "previous": _neighbour(chosen, page, backwards=True),
        "next": _neighbour(chosen, page, backwards=False),
    }


def _neighbour(chosen: ExpenseFilter, page: Page, *, backwards: bool) -> str | None:
    if not page.rows or not (page.newer if backwards else page.older):
        return None
    place = listing.write_cursor(page.rows[0 if backwards else -1], backwards=backwards)
    return url_for("expenses.index", **listing.write(chosen), **place)


def _read_form() -> ExpenseInput:
    conn = tenant.connection()
    offered = {one.id for one in categories.list_all(conn)}
    refusals.note_unknown([request.form.get("category", "")], offered)
    return form.read(request.form, settings.base_currency(conn), offered, datetime.now(UTC).date())


def _form_page(
    typed: Mapping[str, str],
    *,
    receipt_ids: list[UUID],
    errors: Mapping[str, str] | None = None,
    expense: Expense | None = None,
    stale: Mapping[str, Any] | None = None,
) -> str:
    conn = tenant.connection()
    base = settings.base_currency(conn)
    return render_template(
        "expenses/form.html",
        typed=typed,
        errors=errors or {},
        expense=expense,
        receipts=shown_receipts(receipt_ids),
        category_options=_category_options(typed.get("category")),
        currency_options=[(code, f"{code} – {name}") for code, name in money.currency_choices()],
        base_currency=base,
        rates={code: f"{rate.normalize():f}" for code, rate in expenses.last_rates(conn, base).items()},
        stale=stale,
        twins=expenses.twins(conn, expense) if expense else [],
        why=_return_reason(expense) if expense else None,
    )


def _category_options(chosen: str | None) -> list[tuple[UUID, str]]:
    """What is offered, and what the expense has already, even if no longer offered."""
    offered = categories.list_all(tenant.connection())
    return [(one.id, one.name) for one in offered if one.active or str(one.id) == chosen]


def _stale_page(before: Expense, receipt_ids: list[UUID], sentence: str) -> str:
    """The form with what was typed, told what the saved version says; saving again replaces that version."""
    saved = _typed(before)
    typed = request.form.to_dict() | {"version": str(before.version)}
    labels = {"merchant": "Merchant", "amount": "Amount", "currency": "Currency", "spent_on": "Date", "note": "Note"}
    differs = {label: saved[name] for name, label in labels.items() if saved[name] != typed.get(name, "")}
    stale = {"sentence": sentence, "differs": differs, "at": before.changed_at}
    return _form_page(typed, receipt_ids=receipt_ids, expense=before, stale=stale)


def _typed(one: Expense) -> dict[str, str]:
    """The expense as its owner would type it."""
    digits = money.digits_of(one.currency)
    known_rate = one.currency != one.base_currency == settings.base_currency(tenant.connection())
    return {
        "version": str(one.version),
        "spent_on": one.spent_on.strftime("%d/%m/%Y"),
        "merchant": one.merchant,
        "category": str(one.category_id),
        "amount": f"{abs(one.amount):.{digits}f}",
        "refund": "yes" if one.amount < 0 else "",
        "currency": one.currency,
        "tax_amount": "" if one.tax_amount is None else f"{abs(one.tax_amount):.{digits}f}",
        "fx_rate": f"{one.fx_rate.normalize():f}" if known_rate else "",
        "note": service.note_of(tenant.cipher(), one),
    }


def _facts_page(one: Expense, held: list[UUID]) -> str:
    conn, cipher, member = tenant.connection(), tenant.cipher(), current()
    people = reach.names(conn, cipher)
    newer, older = expenses.neighbours(conn, reach.viewer(member), one)
    about = [one.id, *([one.report_id] if one.report_id else [])]
    return render_template(
        "expenses/show.html",
        expense=one,
        note=service.note_of(cipher, one),
        receipts=shown_receipts(held),
        names=people,
        newer=newer,
        older=older,
        why=_return_reason(one),
        timeline=sentences(history.of(conn, about), people),
        twins=expenses.twins(conn, one),
    )


def _return_reason(one: Expense) -> str | None:
    """Why the expense's report came back, if it did."""
    if one.stored_state != "returned" or one.report_id is None:
        return None
    found = reports.by_id(tenant.connection(), one.report_id)
    if found is None or found.return_reason is None:
        return None
    return tenant.cipher().open(report_table.c.return_reason, found.id, found.return_reason)


def _after_save(expense_id: UUID, sentence: str) -> Response:
    """To the list, or to the report when *Save and submit* was pressed."""
    if request.form.get("then") == "submit":
        done = report_service.submit(tenant.connection(), current(), [expense_id])
        flash(said(done))
    else:
        flash(sentence)
    return make_response(redirect(url_for("expenses.index"), 303))


def _ids(texts: list[str]) -> list[UUID]:
    return [_one_id(text) for text in texts[:50]]


def _one_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise CallError("This form is damaged; reload the page.") from error
