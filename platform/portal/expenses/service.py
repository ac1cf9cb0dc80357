"""Changes to expenses. Each is checked against the member and the state, and audited in the same transaction."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from ....config.errors import ForbiddenError, NotFoundError, RefusedError, StaleVersionError
from ....tenant_schema.queries import audit, expenses, receipts
from ....tenant_schema.queries.expenses import Expense
from ....tenant_schema.tables import expense as table
from ...keys.fields import FieldCipher
from ...web.member import CurrentMember
from ...webhooks.prompt import announce
from .form import ExpenseInput
from .reach import viewer
from .told import expense_data

NOT_HERE = "There is no such expense here."


def find(conn: Connection, member: CurrentMember, expense_id: UUID) -> Expense:
    """The expense, if `member` may see it. Raises `NotFoundError` otherwise, as for one that does not exist."""
    found = expenses.visible(conn, expense_id, viewer(member))
    if found is None:
        raise NotFoundError(NOT_HERE)
    return found


def find_own(conn: Connection, member: CurrentMember, expense_id: UUID) -> Expense:
    """The expense, if it is `member`'s own."""
    found = find(conn, member, expense_id)
    if found.member_id != member.id:
        raise ForbiddenError("Only the person whose expense this is may change it.")
    return found


def find_editable(conn: Connection, member: CurrentMember, expense_id: UUID) -> Expense:
    """The expense, if it is `member`'s own and not submitted."""
    found = find_own(conn, member, expense_id)
    if not found.editable:
        raise RefusedError(_locked(found))
    return found


def create(
    conn: Connection,
    cipher: FieldCipher,
    member: CurrentMember,
    expense_id: UUID,
    given: ExpenseInput,
    receipt_ids: Sequence[UUID],
) -> bool:
    """Save a new draft under an id that the form was given. False if it is there already: the form was sent twice."""
    row = {"id": expense_id, "member_id": member.id, "note": _sealed(cipher, expense_id, given)} | given.columns()
    if not expenses.create(conn, row):
        find_own(conn, member, expense_id)
        return False
    _attach(conn, member, expense_id, receipt_ids, already=())
    detail = {"amount": str(given.amount), "currency": given.currency, "receipts": len(receipt_ids)}
    audit.record(conn, member.id, "expense.created", "expense", expense_id, detail)
    announce("expense.created", expense_data(expense_id, member.id, "draft", given))
    return True


def change(
    conn: Connection,
    cipher: FieldCipher,
    member: CurrentMember,
    before: Expense,
    *,
    version: int,
    given: ExpenseInput,
    receipt_ids: Sequence[UUID],
) -> None:
    """Save over `before`, which `find_editable` gave. Raises `StaleVersionError` if it was saved since `version`."""
    row = given.columns() | {"note": _sealed(cipher, before.id, given)}
    if version != before.version or not expenses.change(conn, before.id, version, row):
        raise StaleVersionError("This expense was changed in another tab, or by a second click, since you opened it.")
    held = [one.id for one in receipts.of_expense(conn, before.id)]
    for gone in set(held) - set(receipt_ids):
        receipts.detach(conn, before.id, gone)
    _attach(conn, member, before.id, [one for one in receipt_ids if one not in held], already=held)
    detail: dict[str, Any] = {"changed": differences(before, given, note=_note(cipher, before))}
    if set(held) != set(receipt_ids):
        detail["receipts"] = len(receipt_ids)
    audit.record(conn, member.id, "expense.changed", "expense", before.id, detail)
    announce("expense.changed", expense_data(before.id, before.member_id, before.state, given, before.report_id))


def delete(conn: Connection, member: CurrentMember, expense_id: UUID) -> None:
    """Delete a draft for good; its receipts stay and can prove another expense."""
    found = find_editable(conn, member, expense_id)
    if not expenses.remove(conn, expense_id):
        raise RefusedError("This expense has just been submitted; withdraw the report to delete it.")
    detail = {"amount": str(found.amount), "currency": found.currency, "spent_on": found.spent_on.isoformat()}
    audit.record(conn, member.id, "expense.deleted", "expense", expense_id, detail)


def note_of(cipher: FieldCipher, one: Expense) -> str:
    """The note in clear text; empty when there is none."""
    return _note(cipher, one)


def differences(before: Expense, given: ExpenseInput, *, note: str) -> dict[str, list[str]]:
    """Old and new value of every column that changes; of the note only that it does."""
    new = given.columns()
    names = ("spent_on", "category_id", "amount", "currency", "tax_amount", "fx_rate")
    found = {
        name: [_text(getattr(before, name)), _text(new[name])] for name in names if getattr(before, name) != new[name]
    }
    for name, differs in (("merchant", before.merchant != given.merchant), ("note", note != given.note)):
        if differs:
            found[name] = []
    return found


def _attach(
    conn: Connection, member: CurrentMember, expense_id: UUID, receipt_ids: Sequence[UUID], already: Sequence[UUID]
) -> None:
    """Let receipts that `member` may see prove the expense. Raises `NotFoundError` for any other id."""
    new = [one for one in dict.fromkeys(receipt_ids) if one not in already]
    for receipt_id in new:
        if receipts.visible(conn, receipt_id, viewer(member)) is None:
            raise NotFoundError("There is no such receipt here.")
    receipts.attach(conn, expense_id, new)


def _sealed(cipher: FieldCipher, expense_id: UUID, given: ExpenseInput) -> bytes | None:
    return cipher.seal(table.c.note, expense_id, given.note) if given.note else None


def _note(cipher: FieldCipher, one: Expense) -> str:
    return cipher.open(table.c.note, one.id, one.note) if one.note else ""


def _locked(one: Expense) -> str:
    if one.stored_state == "submitted":
        return "This expense is waiting for approval; withdraw its report to change it."
    return "This expense is approved and no longer changes."


def _text(value: object) -> str:
    return "" if value is None else str(value)
