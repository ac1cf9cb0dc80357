"""Hashing of passwords as a test needs it."""

import pytest

from strongroom.platform.keys import passwords


def let_all_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send nobody away because so many others hash at the same moment, or for a long time."""
    monkeypatch.setattr(passwords.room, "_most", None)
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 300.0)
