from typing import Any

import pytest
from psycopg import sql

from strongroom.backup.contents import dump_options
from strongroom.backup.scratch import ScratchPool

Workspace = Any  # of conftest.py, which no test can import


def test_a_database_of_schemas_alone_is_dumped_as_these(scratch: ScratchPool) -> None:
    with scratch.database() as database:
        database.session.execute('CREATE SCHEMA app; CREATE SCHEMA "Odd ""one"""')
        options = dump_options(database.session)
    assert options[0] == "--no-acl"
    assert options[-2:] == ['--schema="Odd ""one"""', '--schema="app"']


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.stray (id int)",
        "COMMENT ON SCHEMA app IS 'said'",
        "SELECT lo_create(0)",
        "CREATE FUNCTION app.f(point) RETURNS text IMMUTABLE RETURN ''; CREATE CAST (app.t AS text) WITH INOUT",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC",
        "CREATE PUBLICATION news",
    ],
)
def test_what_lies_outside_of_schemas_makes_it_a_dump_of_everything(scratch: ScratchPool, statement: str) -> None:
    with scratch.database() as database, database.session.transaction(force_rollback=True):
        database.session.execute("CREATE SCHEMA app; CREATE TYPE app.t AS (x int)")
        assert "--no-comments" in dump_options(database.session)
        database.session.execute(sql.SQL(statement))  # pyright: ignore[reportArgumentType]  # literals of this module
        assert dump_options(database.session) == ["--no-acl"]


def test_a_database_without_schemas_of_its_own_is_dumped_whole(scratch: ScratchPool) -> None:
    with scratch.database() as database:
        assert dump_options(database.session) == ["--no-acl"]
