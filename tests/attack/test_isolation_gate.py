"""Each sabotage of the isolation is named by the standing gate."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from strongroom.platform.control.platform import Platform
from strongroom.platform.control.tables import server as server_table
from strongroom.platform.control.tables import verification
from strongroom.platform.keys import KeyStore
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants import placements
from strongroom.platform.tenants.records import PlacementState, Tenant
from strongroom.provisioning.isolation.history import results
from strongroom.provisioning.isolation.verify import verify_isolation
from strongroom.provisioning.placements import drop_placement, prepare_database
from strongroom.provisioning.rotate import rotate_login

OnServer = Any  # of conftest.py, which no test can import


@pytest.fixture(scope="module")
def two(on_server: OnServer) -> tuple[Tenant, Tenant]:
    return on_server.make_tenant(), on_server.make_tenant()


OUTSIDE = {
    "a grant to everybody": (
        "GRANT CONNECT ON DATABASE {a} TO PUBLIC",
        "REVOKE ALL ON DATABASE {a} FROM PUBLIC",
        "{a} grants CONNECT to PUBLIC.",
    ),
    "a grant to another tenant": (
        "GRANT CONNECT ON DATABASE {a} TO {b}",
        "REVOKE ALL ON DATABASE {a} FROM {b}",
        "{a} grants CONNECT to {b}.",
    ),
    "more than CONNECT for its own login": (
        "GRANT TEMP ON DATABASE {a} TO {a}",
        "REVOKE TEMP ON DATABASE {a} FROM {a}",
        "{a} grants TEMPORARY to {a}.",
    ),
    "a template that everybody may copy": (
        "ALTER DATABASE {a} IS_TEMPLATE true",
        "ALTER DATABASE {a} IS_TEMPLATE false",
        "{a} is marked as a template, so every role with CREATEDB may copy it.",
    ),
    "a tenant that owns its database": (
        "ALTER DATABASE {a} OWNER TO {a}",
        "ALTER DATABASE {a} OWNER TO strongroom_owner; GRANT CONNECT ON DATABASE {a} TO {a}",  # went with the ownership
        "{a} belongs to {a}, who may grant access to it.",
    ),
    "an extra membership": (
        "GRANT {b}_own TO {a}",
        "REVOKE {b}_own FROM {a}",
        "{a} is a member of {b}_own.",
    ),
    "membership in a predefined role": (
        "GRANT pg_read_all_data TO {a}",
        "REVOKE pg_read_all_data FROM {a}",
        "{a} is a member of pg_read_all_data.",
    ),
    "an attribute": ("ALTER ROLE {a} CREATEROLE", "ALTER ROLE {a} NOCREATEROLE", "{a} has CREATEROLE."),
    "an owner that may log in": (
        "ALTER ROLE {a}_own LOGIN",
        "ALTER ROLE {a}_own NOLOGIN",
        "{a}_own owns objects and may log in.",
    ),
    "settings of its own": (
        "ALTER ROLE {a} SET search_path = app",
        "ALTER ROLE {a} RESET ALL",
        "{a} has settings of its own.",
    ),
    "a platform role with too much": (
        "ALTER ROLE strongroom_provisioner CREATEROLE",
        "ALTER ROLE strongroom_provisioner NOCREATEROLE",
        "strongroom_provisioner has CREATEROLE.",
    ),
    "a stranger who may log in": (
        "CREATE ROLE stranger LOGIN CREATEROLE",  # plain logins of those who run an external server are theirs
        "DROP ROLE stranger",
        "stranger is no role of the platform, yet it may log in.",
    ),
    "a clone that nobody knows": (
        "CREATE DATABASE t_aaaaaaaaaaaaaaaa TEMPLATE strongroom_template",
        "DROP DATABASE t_aaaaaaaaaaaaaaaa",
        "t_aaaaaaaaaaaaaaaa belongs to no placement that the control plane knows.",
    ),
    "a database without an access list": (
        "CREATE DATABASE rogue TEMPLATE template0",
        "DROP DATABASE rogue",
        "rogue has no access list, so every role may connect.",
    ),
    "an open control database": (
        "GRANT CONNECT ON DATABASE {control} TO tenant_logins",
        "REVOKE ALL ON DATABASE {control} FROM tenant_logins",
        "{control} grants CONNECT to tenant_logins.",
    ),
    "an extra superuser": (
        "CREATE ROLE extra SUPERUSER LOGIN",
        "DROP ROLE extra",
        "extra is no role of the platform, yet it may log in.",
    ),
    "a group that may log in": (
        "ALTER ROLE tenant_logins LOGIN",
        "ALTER ROLE tenant_logins NOLOGIN",
        "tenant_logins is a group and may log in.",
    ),
    "a setting of a login in one database": (
        "ALTER ROLE {a} IN DATABASE {a} SET search_path = app",
        "ALTER ROLE {a} IN DATABASE {a} RESET ALL",
        "{a} has settings of its own in {a}.",
    ),
    "a setting of a database": (
        "ALTER DATABASE {a} SET search_path = app",
        "ALTER DATABASE {a} RESET ALL",
        "{a} has settings of its own.",
    ),
    "a restored database without an access list": (
        (
            "CREATE TABLE kept AS SELECT datacl FROM pg_database WHERE datname = '{a}';"
            "UPDATE pg_database SET datacl = NULL WHERE datname = '{a}'"
        ),
        "UPDATE pg_database SET datacl = (SELECT datacl FROM kept) WHERE datname = '{a}'; DROP TABLE kept",
        "{a} has no access list, so every role may connect.",
    ),
    "another password": (
        "CREATE TABLE kept AS SELECT rolpassword FROM pg_authid WHERE rolname = '{a}';ALTER ROLE {a} PASSWORD 'mine'",
        "UPDATE pg_authid SET rolpassword = (SELECT rolpassword FROM kept) WHERE rolname = '{a}'; DROP TABLE kept",
        "{a} has another password than the one it was given.",
    ),
}
INSIDE = {
    "a function with its owner's rights": (
        "CREATE FUNCTION app.trojan() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "DROP FUNCTION app.trojan()",
        "runs with the rights of {superuser}",
    ),
    "a foreign owner": (
        "CREATE TABLE app.foreign_owner (x int)",
        "DROP TABLE app.foreign_owner",
        "app.foreign_owner belongs to {superuser}",
    ),
    "a table for everybody": (
        "GRANT SELECT ON app.expense TO PUBLIC",
        "REVOKE SELECT ON app.expense FROM PUBLIC",
        "grants SELECT on expense to PUBLIC",
    ),
    "an audit log that can be changed": (
        "GRANT UPDATE ON app.audit_event TO {a}",
        "REVOKE UPDATE ON app.audit_event FROM {a}",
        "grants UPDATE on audit_event to {a}",
    ),
    "a column of the audit log that can be changed": (
        "GRANT UPDATE (detail) ON app.audit_event TO {a}",
        "REVOKE UPDATE (detail) ON app.audit_event FROM {a}",
        "grants UPDATE on audit_event.detail to {a}",
    ),
    "another schema": ("CREATE SCHEMA public", "DROP SCHEMA public", "has the schema public"),
    "large objects": ("SELECT lo_create(777)", "SELECT lo_unlink(777)", "has large objects"),
    "a language for its login": (
        "GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC",
        "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC",
        "lets its login use the language plpgsql",
    ),
    "a function that reads the server": (
        "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {a}",
        "REVOKE EXECUTE ON FUNCTION pg_read_file(text) FROM {a}",
        "lets its login call pg_read_file",
    ),
    "the list of databases": (
        "GRANT SELECT ON pg_database TO PUBLIC",
        "REVOKE SELECT ON pg_database FROM PUBLIC",
        "lets its login read pg_database",
    ),
    "a foreign server": (
        "CREATE FOREIGN DATA WRAPPER other; CREATE SERVER other FOREIGN DATA WRAPPER other",
        "DROP FOREIGN DATA WRAPPER other CASCADE",
        "has the foreign server other",
    ),
    "a function among PostgreSQL's own": (
        "CREATE FUNCTION pg_catalog.trojan() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION pg_catalog.trojan()",
        "has a function of somebody's own among PostgreSQL's: trojan",
    ),
    "a publication": ("CREATE PUBLICATION leak FOR ALL TABLES", "DROP PUBLICATION leak", "has the publication leak"),
    "rights on new tables": (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA app REVOKE SELECT ON TABLES FROM PUBLIC",
        "gives new objects to PUBLIC",
    ),
}


def test_an_untouched_installation_passes_and_the_result_is_recorded(
    platform: Platform, two: tuple[Tenant, Tenant]
) -> None:
    report = verify_isolation(platform, live=2)
    assert report.problems() == []
    assert report.passed
    assert report.attacked >= 2  # of each server
    assert report.attempts == sum(report.blocked.values()) + report.watched > 400
    newest = select(verification).order_by(verification.c.id.desc()).limit(1)
    with platform.control.connect() as conn:
        row = conn.execute(newest).one()
    assert (row.kind, row.passed, row.report["attempts"]) == ("isolation", True, report.attempts)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_sabotage_of_the_server_is_named(
    platform: Platform, on_server: OnServer, two: tuple[Tenant, Tenant], name: str
) -> None:
    names = {"a": two[0].database, "b": two[1].database, "control": on_server.platform_databases[-1]}
    breaking, mending, sentence = (text.format(**names) for text in OUTSIDE[name])
    with sabotage(on_server, "postgres", breaking, mending):
        report = verify_isolation(platform)
    assert sentence in report.problems()


@pytest.mark.parametrize("name", INSIDE)
def test_a_sabotage_inside_a_database_is_named(
    platform: Platform, on_server: OnServer, two: tuple[Tenant, Tenant], name: str
) -> None:
    breaking, mending, sentence = (
        text.format(a=two[0].database, superuser=on_server.superuser) for text in INSIDE[name]
    )
    with sabotage(on_server, two[0].database, breaking, mending):
        report = verify_isolation(platform)
    assert any(sentence in problem and problem.startswith(two[0].database) for problem in report.problems())


def test_a_login_that_may_become_the_group_of_all_logins_is_named(
    platform: Platform, on_server: OnServer, two: tuple[Tenant, Tenant]
) -> None:
    if not on_server.knows_set_option:
        return  # every member may there; the gate sees to it that the group has and is nothing
    may, may_not = (f"GRANT tenant_logins TO {two[0].role} WITH SET {word}" for word in ("TRUE", "FALSE"))
    with sabotage(on_server, "postgres", may, may_not):
        assert f"{two[0].role} may become tenant_logins." in verify_isolation(platform).problems()


def test_after_all_of_it_the_installation_is_closed_again(platform: Platform, on_server: OnServer) -> None:
    assert verify_isolation(platform).problems() == []


@contextmanager
def sabotage(server: OnServer, database: str, breaking: str, mending: str) -> Generator[None]:
    with server.connect_admin(database) as admin:
        admin.execute(breaking)
        try:
            yield
        finally:
            admin.execute(mending)


def test_a_workspace_that_is_being_made_is_no_gap_and_a_dropped_one_that_is_left_is(
    platform: Platform, on_server: OnServer
) -> None:
    placement = prepare_database(platform, on_server.server.name)
    assert verify_isolation(platform).problems() == []
    with platform.control.begin() as conn:
        placements.set_state(conn, placement.id, PlacementState.DROPPED)
    problems = verify_isolation(platform).problems()
    assert f"{placement.database} belongs to no placement that the control plane knows." in problems
    drop_placement(platform, placement.id)
    assert verify_isolation(platform).problems() == []


def test_a_database_that_is_gone_is_named(platform: Platform, on_server: OnServer, two: tuple[Tenant, Tenant]) -> None:
    with platform.control.begin() as conn:
        lost = placements.new(conn, on_server.server.name, two[0].id)
        placements.set_state(conn, lost.id, PlacementState.RETIRED)
    problems = verify_isolation(platform).problems()
    assert {f"{lost.database} has no database.", f"{lost.database} has no login role."} <= set(problems)
    drop_placement(platform, lost.id)


def test_checking_while_workspaces_come_and_go_finds_nothing(platform: Platform, on_server: OnServer) -> None:
    def come_and_go() -> None:
        for _ in range(4):
            drop_placement(platform, prepare_database(platform, on_server.server.name).id)

    thread = threading.Thread(target=come_and_go)
    thread.start()
    problems: list[str] = []
    while thread.is_alive():
        problems += verify_isolation(platform).problems()
    thread.join()
    assert problems == []


@contextmanager
def server_that_is_away(platform: Platform, folder: Path, name: str) -> Generator[None]:
    platform.keys.create_server(name)
    with platform.control.begin() as conn:
        servers.put(conn, name=name, region_id="uk", kind="external", host=str(folder), port=1)
    try:
        yield
    finally:
        with platform.control.begin() as conn:
            conn.execute(delete(server_table).where(server_table.c.name == name))


def test_a_server_that_is_away_is_named_and_the_others_are_checked_all_the_same(
    platform: Platform, on_server: OnServer, two: tuple[Tenant, Tenant], tmp_path: Path
) -> None:
    breaking, mending, sentence = (text.format(a=two[0].role) for text in OUTSIDE["an attribute"])
    with server_that_is_away(platform, tmp_path, "away"), sabotage(on_server, "postgres", breaking, mending):
        report = verify_isolation(platform)
    assert [problem.split(":")[0] for problem in report.problems() if problem.startswith("away")] == [
        "away was not checked to the end"
    ]
    assert sentence in report.problems()
    with platform.control.connect() as conn:
        (recorded,) = results(conn, 1)
    assert not recorded["passed"]
    assert any(problem.startswith("away ") for problem in recorded["problems"])


def test_a_database_that_cannot_be_looked_into_is_named_and_the_others_are_checked_all_the_same(
    platform: Platform, on_server: OnServer, two: tuple[Tenant, Tenant]
) -> None:
    shut = f"SET ROLE strongroom_owner; REVOKE CONNECT ON DATABASE {two[0].database} FROM strongroom_migrator"
    opened = f"GRANT CONNECT ON DATABASE {two[0].database} TO strongroom_migrator"
    breaking, mending, sentence = (text.format(a=two[1].database) for text in INSIDE["a table for everybody"])
    with (
        sabotage(on_server, "postgres", shut, opened),
        sabotage(on_server, two[1].database, breaking, mending),
    ):
        problems = verify_isolation(platform).problems()
    assert f"{two[0].database} could not be looked into: the migrator cannot enter it." in problems
    assert f"{two[1].database} {sentence}." in problems


def test_a_login_that_is_replaced_while_it_is_checked_is_no_gap(
    platform: Platform, two: tuple[Tenant, Tenant], monkeypatch
) -> None:
    """Each time after the keys were read, and before the server is asked."""
    store, replaced = type(platform.keys), list[str]()

    def replaced_after(read: str) -> None:
        original = getattr(store, read)

        def reading(keys: KeyStore, pid: str) -> Any:
            found = original(keys, pid)
            if pid == two[0].placement_id and read not in replaced:
                replaced.append(read)
                rotate_login(platform, two[0])
            return found

        monkeypatch.setattr(store, read, reading)

    replaced_after("placement")
    replaced_after("placement_logins")
    problems = verify_isolation(platform).problems()
    assert not any(two[0].role in problem for problem in problems)
    assert replaced == ["placement", "placement_logins"]
