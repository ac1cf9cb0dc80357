from datetime import timedelta

import pytest

from strongroom.platform.portal.settings.service import how_long, how_often
from strongroom.platform.protection.policy import Policy, Window


@pytest.mark.parametrize(
    ("hours", "window", "words"),
    [
        (6, None, "every 6 hours"),
        (1, None, "every hour"),
        (6, Window(22, 5), "daily between 22:00 and 05:00 UTC"),
        (2, Window(8, 20), "every 2 hours between 08:00 and 20:00 UTC"),
    ],
)
def test_a_customer_reads_how_often_backups_are_made(hours: int, window: Window | None, words: str) -> None:
    assert how_often(Policy(timedelta(hours=hours), 30, 0, 0, 0, window)) == words


def test_a_customer_reads_how_long_they_are_kept() -> None:
    hour = timedelta(hours=1)
    assert how_long(Policy(hour, 30, 0, 0, 0)) == "30 days"
    expected = "7 days, then one a week for 4 weeks and one a year for 1 year"
    assert how_long(Policy(hour, 7, 4, 0, 1)) == expected
