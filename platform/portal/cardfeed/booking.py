"""From a card payment to its holder's draft expense. The caller owns the transaction, which ends the event, too."""

import json
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from ....config.errors import RefusedError
from ....tenant_schema.ids import new_uuid7
from ....tenant_schema.queries import audit, cards, categories, expenses, members, settings
from ....tenant_schema.queries.cards import Card, Incoming
from ....tenant_schema.tables import incoming_event
from ...keys.fields import FieldCipher
from ...web.permissions import Permission, Role, allowed
from ...webhooks.events import emit
from ..expenses import money
from ..expenses.form import ExpenseInput
from ..expenses.told import expense_data
from .messages import Transaction, from_data


class Booked(NamedTuple):
    """The expense, and how many webhooks are to tell of it."""

    expense_id: UUID
    told: int


def book(conn: Connection, cipher: FieldCipher, event: Incoming) -> Booked:
    """Enter the payment as a draft of the card's holder. Raises `StrongroomError` that says why it cannot be."""
    paid = from_data(json.loads(cipher.open(incoming_event.c.payload, event.id, event.payload)))
    card = _card(conn, paid.card)
    given = _input(conn, paid)
    expense_id = new_uuid7()
    expenses.create(conn, {"id": expense_id, "member_id": card.member_id, "note": None} | given.columns())
    detail = {"amount": str(given.amount), "currency": given.currency, "card": str(card.id)}
    audit.record(conn, None, "expense.from_card", "expense", expense_id, detail)
    told = emit(conn, cipher, "expense.created", expense_data(expense_id, card.member_id, "draft", given))
    return Booked(expense_id, told)


def _card(conn: Connection, token: str) -> Card:
    card = cards.by_token(conn, token)
    if card is None:
        raise RefusedError("No member has this card: add it above, then try again.")
    holder = members.by_id(conn, card.member_id)
    if holder.state != "active" or not allowed(Role(holder.role), Permission.SPEND):
        raise RefusedError("The card's holder cannot enter expenses: give the card to somebody else, then try again.")
    return card


def _input(conn: Connection, paid: Transaction) -> ExpenseInput:
    base = settings.base_currency(conn)
    rate = Decimal(1) if paid.currency == base else expenses.last_rates(conn, base).get(paid.currency)
    if rate is None:
        raise RefusedError(
            f"No exchange rate for {paid.currency} is known: enter one expense in it by hand, then try again."
        )
    amount = money.to_base(paid.amount, rate, base)
    category_id = [one.id for one in categories.list_all(conn) if one.active][-1]  # “Other”, unless it was renamed
    return ExpenseInput(
        paid.spent_on, paid.merchant, category_id, paid.amount, paid.currency, None, rate, amount, base, ""
    )
