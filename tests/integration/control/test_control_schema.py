"""The control database: revisions, seeds, and an audit log that only grows."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from strongroom.config.errors import RefusedError
from strongroom.platform.audit import queries as audit
from strongroom.platform.control import migrate
from strongroom.platform.control.platform import Platform
from strongroom.platform.control.tables import metadata, plan, region


def test_revisions_and_tables_agree(platform: Platform) -> None:
    def ours(name: str | None, kind: str, _parents: object) -> bool:
        return not (kind == "table" and (name or "").startswith("procrastinate_"))

    with platform.control.connect() as conn:
        context = MigrationContext.configure(conn, opts={"include_name": ours})
        assert compare_metadata(context, metadata) == []


def test_upgrade_again_does_nothing(platform: Platform) -> None:
    migrate.upgrade(platform.control)
    with platform.control.connect() as conn:
        assert migrate.current_revision(conn) == migrate.newest_revision()


def test_plans_and_regions_are_there(platform: Platform) -> None:
    with platform.control.connect() as conn:
        assert set(conn.execute(select(plan.c.id)).scalars()) == {"free", "pro", "team"}
        assert dict(conn.execute(select(region.c.id, region.c.name)).all()) == {
            "uk": "United Kingdom",
            "eu": "European Union",
        }


@pytest.mark.parametrize("change", ["DELETE FROM", "TRUNCATE", "UPDATE"])
def test_the_operators_audit_log_cannot_be_changed(platform: Platform, change: str) -> None:
    with platform.control.begin() as conn:
        audit.record(conn, "root", "tested", detail={"why": change})
    rest = " SET operator = 'nobody'" if change == "UPDATE" else ""
    with pytest.raises(DBAPIError, match="cannot be changed"), platform.control.begin() as conn:
        conn.execute(text(f"{change} operator_audit{rest}"))
    with platform.control.connect() as conn:
        newest = audit.newest(conn, limit=1)[0]
    assert (newest.operator, newest.action, newest.detail) == ("root", "tested", {"why": change})


def test_audit_entries_of_one_tenant_are_found(platform: Platform) -> None:
    with platform.control.begin() as conn:
        audit.record(conn, "root", "looked", tenant_id="abc")
        audit.record(conn, "root", "looked", tenant_id="xyz")
        assert [entry.tenant_id for entry in audit.newest(conn, tenant_id="abc")] == ["abc"]


def test_a_newer_control_database_is_refused_and_left_alone(platform: Platform) -> None:
    newest = migrate.newest_revision()
    _stamp(platform, "9999")
    try:
        with pytest.raises(RefusedError, match="9999 of the control database is newer"):
            migrate.upgrade(platform.control)
    finally:
        _stamp(platform, newest)
    migrate.upgrade(platform.control)


def _stamp(platform: Platform, revision: str | None) -> None:
    with platform.control.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_a_refused_statement_is_told_without_its_values(platform: Platform) -> None:
    with pytest.raises(DBAPIError) as refused, platform.control.connect() as conn:
        conn.execute(text("SELECT CAST(:name AS text) FROM nowhere"), {"name": "Anna Smith"})
    assert "Anna Smith" not in str(refused.value)
