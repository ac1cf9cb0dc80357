"""When the archive of the log is healthy, and what is said when it is not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from strongroom.platform.servers.bases import STORED, BaseBackup
from strongroom.provisioning.archive_status import Facts, judge

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
BASE = BaseBackup(
    "b",
    "embedded",
    STORED,
    "local",
    "20260320",
    "1",
    1,
    "W",
    "W",
    1,
    None,
    None,
    NOW - timedelta(hours=2),
    NOW - timedelta(hours=2),
)
FINE = Facts(
    installed=NOW - timedelta(days=30),
    days=7,
    base=BASE,
    is_wanted=True,
    is_archiving=True,
    lag=timedelta(seconds=3),
    gap=None,
)


def test_a_young_base_backup_and_a_short_lag_are_healthy() -> None:
    assert judge(FINE, NOW) == (True, "last base backup 2026-03-20T10:00:00+00:00, 3 s behind")


@pytest.mark.parametrize(
    ("changes", "ok", "sentence"),
    [
        ({"days": 0}, True, "switched off"),
        ({"base": None, "is_wanted": False, "installed": NOW}, True, "no base backup yet"),
        ({"base": None, "is_wanted": False}, False, "no base backup yet"),
        ({"base": replace(BASE, finished_at=NOW - timedelta(hours=27))}, False, "too long ago"),
        ({"is_archiving": False}, False, "no archiver is at work, 3 s behind"),
        ({"lag": timedelta(minutes=16)}, False, "960 s behind"),
        ({"gap": NOW}, False, "the log was let go"),
    ],
)
def test_trouble_is_said(changes: dict[str, object], ok: bool, sentence: str) -> None:
    found, said = judge(replace(FINE, **changes), NOW)  # pyright: ignore[reportArgumentType]
    assert found is ok
    assert sentence in said
