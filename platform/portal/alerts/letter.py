"""The text of an alert: what happened, when, where, and what to do. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ...web.formats import day
from .kinds import BOTH, EVENTS, SUBJECTS, Alert

NOT_YOU = (
    "If this was not you, open this link and confirm it. It ends every session of your account, its API tokens and its "
    "password, and sends you a link to choose a new one:"
)
LABELS = {"which": "What", "by": "By", "device": "Device", "where": "Where"}  # other facts are called by their names


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail before it is queued."""

    subject: str
    body: str


def write(
    kind: Alert,
    *,
    name: str,
    workspace: str,
    at: datetime,
    facts: Mapping[str, str],
    link: str,
    good_for: timedelta,
    also: Alert | None = None,
) -> Letter:
    """The mail about `kind`; `facts` come one a line. `also`: a new country, told with a new device in one mail."""
    event = (BOTH if also else EVENTS[kind]).format(workspace=workspace)
    lines = [f"When: {when(at)}", *(f"{LABELS.get(key, _spelled(key))}: {value}" for key, value in facts.items())]
    body = "\n\n".join(
        (
            f"Hello {name},",
            event,
            "\n".join(lines),
            "If this was you, there is nothing to do.",
            NOT_YOU,
            link,
            f"The link works once, within {good_for.days} days.",
        )
    )
    return Letter(_one_line(SUBJECTS[kind].format(workspace=workspace)), f"{body}\n")


def when(at: datetime) -> str:
    """`Saturday 21 Nov 2026, 22:05 UTC (2026-11-21T22:05:07Z)`: for people, and exact."""
    exact = at.astimezone(UTC)
    return f"{exact:%A} {day(exact)}, {exact:%H:%M} UTC ({exact:%Y-%m-%dT%H:%M:%SZ})"


def where(address: str | None, country: str | None) -> str:
    """`203.0.113.7, Germany`, as far as it is known."""
    return ", ".join(part for part in (address, country) if part) or "unknown"


def _spelled(key: str) -> str:
    return key.replace("_", " ").capitalize()


def _one_line(text: str) -> str:
    return " ".join(text.split())
