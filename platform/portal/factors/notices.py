"""Mails to the member about their factors."""

from importlib import import_module
from typing import Any
from uuid import UUID


def tell(kind: str, member_id: UUID, **facts: object) -> None:
    """Queue the alert of that name (`FACTOR_ADDED` …), once the alerts are there."""
    try:
        alerts: Any = import_module("..alerts", __package__)
    except ModuleNotFoundError:
        return
    alerts.tell(alerts.Alert[kind], member_id, **facts)
