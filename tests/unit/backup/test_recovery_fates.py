from dataclasses import replace
from datetime import UTC, datetime

import pytest

from strongroom.backup.recovery.fates import Fate, Known, fate_of
from strongroom.backup.recovery.report import Report
from strongroom.config.errors import FailedError, VerificationError
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.tenants.states import TenantState

TENANT = Tenant(
    id="aaaaaaaaaaaaaaaa",
    slug="acme",
    name="Acme",
    plan="pro",
    region="uk",
    state=TenantState.ACTIVE,
    generation=1,
    placement_id="bbbbbbbbbbbbbbbb",
    server="embedded",
    schema_revision="0001",
    failure=None,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    last_backup_at=None,
    last_verified_at=None,
)
LOST = Known(TENANT, is_buried=False, has_keys=True, is_there=False)


@pytest.mark.parametrize(
    ("known", "only", "fate"),
    [
        (LOST, (), Fate.RESTORED),
        (LOST, ("acme",), Fate.RESTORED),
        (LOST, ("other",), Fate.WAITING),
        (replace(LOST, is_there=True), (), Fate.KEPT),
        (replace(LOST, is_there=True), ("other",), Fate.KEPT),
        (replace(LOST, tenant=replace(TENANT, placement_id=None)), (), Fate.PENDING),
        (replace(LOST, has_keys=False), (), Fate.FAILED),
        (replace(LOST, has_keys=False, is_buried=True), (), Fate.ERASED),
        (replace(LOST, is_buried=True), ("other",), Fate.ERASED),  # its keys were about to be destroyed
        (replace(LOST, is_buried=True, is_there=True), (), Fate.ERASED),
    ],
)
def test_what_is_to_become_of_a_workspace(known: Known, only: tuple[str, ...], fate: Fate) -> None:
    assert fate_of(known, only) is fate


def row(
    slug: str, state: Fate, *, verification: bool = False, damaged: int = 0, as_of: str | None = None
) -> dict[str, object]:
    return {
        "slug": slug,
        "state": state.value,
        "verification": verification,
        "damaged": damaged,
        "as_of": as_of,
        "note": "why",
    }


def report(*rows: dict[str, object]) -> Report:
    return Report.of({"control": {"as_of": "2026-01-01T00:00:00+00:00"}, "workspaces": dict(enumerate(rows))})


def test_a_failed_verification_counts_more_than_other_failures() -> None:
    fine = row("a", Fate.RESTORED, as_of="2026-01-01T00:00:00+00:00", damaged=1)
    assert report(fine, row("b", Fate.ERASED)).error() is None
    assert type(report(fine, row("b", Fate.FAILED)).error()) is FailedError
    assert type(report(row("b", Fate.FAILED), row("c", Fate.FAILED, verification=True)).error()) is VerificationError


def test_the_report_begins_with_what_failed_and_says_what_is_lost() -> None:
    found = report(
        row("late", Fate.RESTORED, as_of="2026-01-01T06:00:00+00:00", damaged=2),
        row("early", Fate.RESTORED, as_of="2026-01-01T00:00:00+00:00"),
        row("broken", Fate.FAILED),
    )
    assert [one["slug"] for one in found.rows()] == ["broken", "early", "late"]
    assert found.counts() == {"failed": 1, "restored": 2}
    assert "2 damaged backups were passed over" in found.summary()
