"""How money, dates, sizes and spans of time are written on screen. Registered as Jinja filters."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, cast

from babel.numbers import get_currency_precision
from flask import Flask
from markupsafe import Markup

MINUS: Final = "\N{MINUS SIGN}"
MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def amount(value: Decimal, currency: str) -> str:
    """`1234.5`, GBP → `1,234.50`: grouped as in British English, the currency's digits, a true minus sign.

    Not by Babel's `format_decimal`, which takes a hundred times as long and writes the same here.
    """
    return f"{value:,.{get_currency_precision(currency)}f}".replace("-", MINUS)


def money(value: Decimal | None, currency: str) -> Markup:
    """Amount in tabular figures with the currency small behind it; nothing known is a dash."""
    if value is None:
        return Markup('<span class="money text-secondary">–</span>')
    text = Markup('<span class="money">{} <span class="money-currency">{}</span></span>')
    return text.format(amount(value, currency), currency)


def day(value: date | datetime | None) -> str:
    """`12 Mar 2024`; months are written, so that no one mistakes day for month."""
    return f"{value.day} {MONTHS[value.month - 1]} {value.year}" if value else "–"


def moment(value: datetime | None) -> Markup:
    """The day, with the exact time in UTC on hover."""
    if value is None:
        return Markup("–")
    exact = value.astimezone(UTC)
    text = Markup('<time datetime="{}" title="{} {} UTC">{}</time>')
    return text.format(exact.isoformat(timespec="seconds"), day(exact), exact.strftime("%H:%M:%S"), day(exact))


def ago(value: datetime, now: datetime | None = None) -> str:
    """`2 h ago`: the largest unit that fits, rounded down; `just now` within the minute."""
    passed = (now or datetime.now(UTC)) - value
    return "just now" if passed < timedelta(minutes=1) else f"{span(passed)} ago"


def ago_html(value: datetime | None) -> Markup:
    """`2 h ago`, with the exact time in UTC on hover; `never` where there is none."""
    if value is None:
        return Markup("never")
    exact = value.astimezone(UTC)
    text = Markup('<time datetime="{}" title="{} {} UTC">{}</time>')
    stamp = exact.isoformat(timespec="seconds")
    return text.format(stamp, day(exact), exact.strftime("%H:%M:%S"), ago(value))


def span(delta: timedelta) -> str:
    """`less than a minute`, `5 min`, `2 h`, `3 days`."""
    minutes = int(delta.total_seconds() // 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h"
    return f"{minutes // (24 * 60)} days"


def waiting(seconds: int) -> str:
    """`30 seconds`, `2 minutes`, `24 hours`: rounded up, so that who waits that long does not come too early."""
    if seconds < 100:
        return plural(seconds, "second")
    minutes = -(-seconds // 60)
    return plural(minutes, "minute") if minutes < 120 else plural(-(-minutes // 60), "hour")


def size(count: int | None) -> str:
    """Bytes as a person reads them, decimal units: `1.4 MB`."""
    if count is None:
        return "–"
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def plural(count: int, singular: str, several: str | None = None) -> str:
    """`1 expense`, `3 expenses`, `1,204 expenses`."""
    return f"{count:,} {singular if count == 1 else several or singular + 's'}"


def initials(name: str) -> str:
    """Up to two letters for the round badge beside a person's name."""
    words = [word for word in name.split() if word[0].isalpha()]
    return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)).upper() or "?"


def attributes(values: Mapping[str, object]) -> Markup:
    """HTML attributes with a leading space; True stands alone (`autofocus`), False and None are left out."""
    parts = [
        Markup(" {}").format(name) if value is True else Markup(' {}="{}"').format(name, value)
        for name, value in values.items()
        if value is not False and value is not None
    ]
    return Markup("").join(parts)


def install(app: Flask) -> None:
    """Make the formats known to templates as filters."""
    filters = cast(dict[str, Any], app.jinja_env.filters)
    filters.update(
        amount=amount,
        attributes=attributes,
        money=money,
        day=day,
        moment=moment,
        ago=ago_html,
        size=size,
        plural=plural,
        initials=initials,
    )
