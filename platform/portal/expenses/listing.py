"""The list's filter in the address of the page: read, written, and shown as chips."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final, TypeVar
from uuid import UUID

from werkzeug.datastructures import MultiDict

from ....config.errors import CallError
from ....tenant_schema.queries.expenses import Cursor, ExpenseRow
from ....tenant_schema.queries.filters import SHOWN_STATES, ExpenseFilter
from ...web.formats import amount as written_amount
from ...web.formats import day
from . import money
from .dates import read_day

Args = dict[str, Any]
T = TypeVar("T")
STATE_LABELS: Final = {
    "draft": "Draft",
    "submitted": "Submitted",
    "returned": "Returned",
    "approved": "Approved",
    "paid": "Paid",
}
MOST_VALUES: Final = 100  # of one filter; an address with more is nobody's bookmark


@dataclass(frozen=True, slots=True)
class Chip:
    """One active filter: its words, and the arguments of the same list without it."""

    label: str
    without: Args


def read(args: MultiDict[str, str], viewer: ExpenseFilter) -> tuple[ExpenseFilter, dict[str, str]]:
    """The filter that `args` describe, for `viewer`, and a sentence for each value that was left out as wrong."""
    errors: dict[str, str] = {}

    def checked(name: str, parse: Callable[[str], T]) -> T | None:
        text = args.get(name, "").strip()
        try:
            return parse(text) if text else None
        except CallError as error:
            errors[name] = str(error)
            return None

    chosen = replace(
        viewer,
        text=args.get("q", "").replace("\0", "").strip()[:200],  # PostgreSQL has no NUL in a text
        categories=_ids(args.getlist("category")),
        states=tuple(state for state in SHOWN_STATES if state in args.getlist("state")),
        members=_ids(args.getlist("member")),
        since=checked("from", lambda text: read_day(text, "from")),
        until=checked("to", lambda text: read_day(text, "to")),
        least=checked("min", _bound),
        most=checked("max", _bound),
    )
    return chosen, errors


def read_cursor(args: Mapping[str, str]) -> Cursor | None:
    """Where the page begins; None for the first, also when the address was tampered with."""
    for name, backwards in (("after", False), ("before", True)):
        spent_on, _, row = args.get(name, "").partition("_")
        try:
            return Cursor(date.fromisoformat(spent_on), UUID(row), backwards)
        except ValueError:
            continue
    return None


def write(chosen: ExpenseFilter) -> Args:
    """The arguments from which `read` makes `chosen` again; only what is filtered."""
    args: Args = {
        "q": chosen.text,
        "category": [str(one) for one in chosen.categories],
        "state": list(chosen.states),
        "member": [str(one) for one in chosen.members],
        "from": chosen.since.isoformat() if chosen.since else "",
        "to": chosen.until.isoformat() if chosen.until else "",
        "min": _plain(chosen.least),
        "max": _plain(chosen.most),
    }
    return {name: value for name, value in args.items() if value}


def write_cursor(row: ExpenseRow, *, backwards: bool = False) -> Args:
    """The argument from which `read_cursor` makes the place of `row` again."""
    return {"before" if backwards else "after": f"{row.spent_on.isoformat()}_{row.id}"}


def chips(chosen: ExpenseFilter, categories: Mapping[UUID, str], people: Mapping[UUID, str], base: str) -> list[Chip]:
    """One chip for each active filter value, in the order of the filter bar."""

    def without(**changed: Any) -> Args:
        return write(replace(chosen, **changed))

    found = [Chip(f"“{chosen.text}”", without(text=""))] if chosen.text else []
    for name, labels in (("states", STATE_LABELS), ("categories", categories), ("members", people)):
        values: tuple[Any, ...] = getattr(chosen, name)
        found += [Chip(labels.get(one, "Unknown"), without(**{name: _less(values, one)})) for one in values]
    if chosen.since or chosen.until:
        found.append(Chip(_period(chosen.since, chosen.until), without(since=None, until=None)))
    if chosen.least is not None or chosen.most is not None:
        found.append(Chip(_span(chosen.least, chosen.most, base), without(least=None, most=None)))
    return found


def _ids(texts: Iterable[str]) -> tuple[UUID, ...]:
    found: dict[UUID, None] = {}
    for text in list(texts)[:MOST_VALUES]:
        try:
            found[UUID(text)] = None
        except ValueError:
            continue
    return tuple(found)


def _bound(text: str) -> Decimal:
    """An end of the range of amounts: with at most four digits, zero allowed."""
    if text.strip("0.,") == "":
        return Decimal(0)
    return money.parse_amount(text, "CLF")  # the currency with four digits


def _plain(value: Decimal | None) -> str:
    return "" if value is None else f"{value.normalize():f}"


def _less(values: tuple[T, ...], one: T) -> tuple[T, ...]:
    return tuple(value for value in values if value != one)


def _period(since: date | None, until: date | None) -> str:
    if since and until:
        return day(since) if since == until else f"{day(since)} – {day(until)}"
    return f"From {day(since)}" if since else f"Until {day(until)}"


def _span(least: Decimal | None, most: Decimal | None, base: str) -> str:
    low, high = (written_amount(one, base) if one is not None else "" for one in (least, most))
    if low and high:
        return f"{low} – {high} {base}"
    return f"{low} {base} or more" if low else f"Up to {high} {base}"
