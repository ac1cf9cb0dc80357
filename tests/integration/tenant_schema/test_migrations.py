"""Migrations make exactly the tables that the code believes in, all or nothing, one thread at a time."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, Engine, select, text, update

from strongroom.config.errors import RefusedError
from strongroom.tenant_schema.migrate import current_revision, newest_revision, upgrade
from strongroom.tenant_schema.seeds import CATEGORIES, seed_categories
from strongroom.tenant_schema.tables import SCHEMA, category, metadata


class Databases(Protocol):
    def new(self) -> Engine: ...


def differences(connection: Connection) -> list[Any]:
    options = {
        "version_table_schema": SCHEMA,
        "include_schemas": True,
        "compare_type": True,
        "compare_server_default": True,
    }
    found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    return found


def test_the_migrated_schema_is_the_one_in_tables(conn: Connection) -> None:
    assert differences(conn) == []


def test_the_comparison_finds_a_difference(conn: Connection) -> None:
    conn.execute(text("ALTER TABLE app.expense DROP COLUMN fx_source"))
    conn.execute(text("DROP INDEX app.ix_expense_spent_on_id"))
    assert {change[0] for change in differences(conn)} == {"add_column", "add_index"}


def test_every_check_is_there_under_its_name(conn: Connection) -> None:
    believed = {
        (table.name, str(constraint.name))
        for table in metadata.sorted_tables
        for constraint in [*table.constraints, *(c for column in table.c for c in column.constraints)]
        if isinstance(constraint, CheckConstraint)
    }
    checks = text(
        "SELECT relname, conname FROM pg_constraint JOIN pg_class c ON c.oid = conrelid"
        " WHERE contype = 'c' AND connamespace = 'app'::regnamespace"
    )
    made = {(table, name) for table, name in conn.execute(checks)}
    assert made == {(table, name if name.startswith("ck_") else f"ck_{table}_{name}") for table, name in believed}


def test_everything_belongs_to_the_role_that_ran_it(conn: Connection) -> None:
    owners = text("SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'app'::regnamespace")
    assert conn.execute(owners).scalars().all() == ["schema_test_own"]


def test_nothing_is_made_outside_the_schema(conn: Connection) -> None:
    elsewhere = text(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname NOT IN ('app', 'pg_catalog', 'information_schema', 'pg_toast')"
    )
    assert conn.execute(elsewhere).scalar_one() == 0


def test_a_second_upgrade_changes_nothing(schema_engine: Engine) -> None:
    with schema_engine.begin() as connection:
        connection.execute(update(category).where(category.c.name == "Other").values(name="Sundries"))
        assert upgrade(connection) == newest_revision() == current_revision(connection)
        assert "Other" not in connection.execute(select(category.c.name)).scalars().all()
        connection.rollback()


def test_a_fresh_workspace_has_categories_in_their_order(conn: Connection) -> None:
    names = select(category.c.name).order_by(category.c.position)
    assert tuple(conn.execute(names).scalars()) == CATEGORIES
    conn.execute(update(category).where(category.c.name == "Other").values(name="Sundries"))
    seed_categories(conn)
    assert conn.execute(names).scalars().all().count("Travel") == 1


def test_without_commit_nothing_has_happened(databases: Databases) -> None:
    engine = databases.new()
    with engine.connect() as connection:
        upgrade(connection)
        connection.rollback()
        assert current_revision(connection) is None
        assert connection.execute(text("SELECT to_regclass('app.expense')")).scalar_one() is None


def test_a_database_that_newer_code_has_upgraded_is_refused_and_left_alone(conn: Connection) -> None:
    conn.execute(text("UPDATE app.alembic_version SET version_num = '9999'"))
    with pytest.raises(RefusedError, match="9999 of a workspace's database is newer"):
        upgrade(conn)
    assert current_revision(conn) == "9999"


def test_threads_do_not_run_each_others_migrations(databases: Databases) -> None:
    engines = [databases.new() for _ in range(4)]

    def migrate(engine: Engine) -> list[Any]:
        with engine.begin() as connection:
            upgrade(connection)
            return differences(connection)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(migrate, engines)) == [[], [], [], []]


def test_a_hanging_lock_does_not_hang_the_migration(schema_engine: Engine) -> None:
    with schema_engine.connect() as connection:
        upgrade(connection)
        for name in ("lock_timeout", "statement_timeout"):
            assert connection.execute(text(f"SHOW {name}")).scalar_one() not in {"0", ""}
        connection.rollback()
        assert connection.execute(text("SHOW lock_timeout")).scalar_one() == "0"


@pytest.mark.parametrize("amount", ["0", "NaN"])
def test_an_amount_that_is_none_is_refused_by_the_database(conn: Connection, amount: str) -> None:
    definition = text(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'ck_expense_amount_not_zero'"
    )
    condition = conn.execute(definition).scalar_one().removeprefix("CHECK ")
    statement = text(f"SELECT {condition} FROM (SELECT CAST(:amount AS numeric) AS amount) AS row")
    assert conn.execute(statement, {"amount": amount}).scalar_one() is False
    assert conn.execute(statement, {"amount": "-1.5"}).scalar_one() is True
