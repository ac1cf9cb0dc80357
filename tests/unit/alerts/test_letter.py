"""What an alert's mail says."""

from datetime import UTC, datetime, timedelta

import pytest

from strongroom.platform.portal.alerts import Alert
from strongroom.platform.portal.alerts.letter import Letter, where, write

AT = datetime(2026, 11, 21, 22, 5, 7, tzinfo=UTC)
LINK = "https://acme.example/not-me/abc"


def letter(kind: Alert, *, also: Alert | None = None, **facts: str) -> Letter:
    return write(
        kind, name="Ada", workspace="Acme", at=AT, facts=facts, link=LINK, good_for=timedelta(days=7), also=also
    )


@pytest.mark.parametrize("kind", list(Alert))
def test_every_alert_says_what_when_and_what_to_do(kind: Alert) -> None:
    found = letter(kind, where="203.0.113.7, Germany", device="Firefox on Windows")
    assert "Acme" in found.subject
    lines = found.body.splitlines()
    assert "When: Saturday 21 Nov 2026, 22:05 UTC (2026-11-21T22:05:07Z)" in lines
    assert "Where: 203.0.113.7, Germany" in lines
    assert "Device: Firefox on Windows" in lines
    assert LINK in lines  # alone on its line: it becomes a button
    assert "The link works once, within 7 days." in lines
    assert "{" not in found.subject + found.body


def test_a_new_device_in_a_new_country_is_one_mail() -> None:
    body = letter(Alert.NEW_DEVICE, also=Alert.NEW_COUNTRY).body
    assert "from a device that you have not used there before, and from a country" in body


def test_facts_that_nobody_foresaw_are_said_under_their_name() -> None:
    body = letter(Alert.FACTOR_ADDED, which="passkey “Phone”", last_used="never").body
    assert "What: passkey “Phone”" in body
    assert "Last used: never" in body


def test_a_subject_is_one_line() -> None:
    found = write(Alert.NEW_DEVICE, name="A", workspace="A\nBcc: x", at=AT, facts={}, link=LINK, good_for=timedelta(7))
    assert "\n" not in found.subject


def test_where_says_what_is_known() -> None:
    assert where("203.0.113.7", "Germany") == "203.0.113.7, Germany"
    assert where("127.0.0.1", None) == "127.0.0.1"
    assert where(None, None) == "unknown"
