"""Alerts: what happened to a member's account, told by mail, and “this was not me”."""

from .kinds import Alert
from .telling import tell

__all__ = ["Alert", "tell"]
