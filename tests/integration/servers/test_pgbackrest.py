"""Point in time on a server that pgBackRest archives: its own programs, Debian's PostgreSQL, a real repository."""

from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import repository
from debian_server import REGION, take_into_service
from repository import STANZA, Repository
from sqlalchemy import text

from strongroom.backup.archive.moment import restore_at
from strongroom.backup.archive.pgbackrest import PgBackRestArchive
from strongroom.backup.progress import silent
from strongroom.config.errors import FailedError, NotFoundError, RefusedError
from strongroom.config.pgbackrest import Stanza
from strongroom.platform.control.platform import Platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.postgres.embedded import EmbeddedServer

NAME = "archived"


@pytest.fixture(scope="session")  # the platform knows it from then on, and other tests look at all its servers
def archived(platform: Platform, reachable_tmp: Path) -> Generator[Repository]:
    made = repository.start_archived(reachable_tmp)
    try:
        take_into_service(platform, made.server, NAME)
        _let_in(platform, archived=False)
        yield made
    finally:
        made.server.cluster.stop()


@pytest.fixture(scope="module")
def make(archived: Repository, platform: Platform, tenant_factory: Any) -> Callable[[], Tenant]:
    """Makes a workspace on that server, and lets no other test have one there."""

    def build() -> Tenant:
        _let_in(platform, archived=True)
        try:
            return tenant_factory(region=REGION)
        finally:
            _let_in(platform, archived=False)

    return build


def _let_in(platform: Platform, *, archived: bool) -> None:
    with platform.control.begin() as conn:
        conn.execute(text("UPDATE server SET accepts_tenants = (name = :name) = :yes"), {"name": NAME, "yes": archived})


@pytest.fixture(scope="module")
def both(archived: Repository, platform: Platform, make: Callable[[], Tenant]) -> tuple[Tenant, Tenant]:
    """Two workspaces that are in the base backup."""
    found = make(), make()
    write(platform, found[0], "in the base backup")
    archived.base_backup()
    return found


@pytest.fixture(scope="module")
def first(both: tuple[Tenant, Tenant]) -> Tenant:
    return both[0]


@pytest.fixture
def archive(archived: Repository, platform: Platform) -> PgBackRestArchive:
    with platform.control.connect() as conn:
        server = servers.by_name(conn, NAME)
    return PgBackRestArchive(platform, server, Stanza(NAME, STANZA, archived.config))


def write(platform: Platform, tenant: Tenant, word: str) -> None:
    with platform.registry.connect(tenant) as conn, conn.begin():
        conn.execute(text("INSERT INTO app.setting VALUES (:word, '1')"), {"word": word})


def words(archive: PgBackRestArchive, tenant: Tenant, at: datetime) -> list[str]:
    with archive.recovered(tenant.database or "", at, silent) as recovered, recovered.session() as session:
        found = session.execute("SELECT key FROM app.setting WHERE value = '1' ORDER BY 1").fetchall()
    return [key for (key,) in found]


def test_a_workspace_comes_back_as_it_was_between_two_transactions(
    platform: Platform, first: Tenant, archive: PgBackRestArchive
) -> None:
    write(platform, first, "kept")
    between = datetime.now(UTC)
    write(platform, first, "lost")
    assert words(archive, first, between) == ["in the base backup", "kept"]
    window = archive.window()
    assert window is not None
    assert window.first < between < window.last


def test_a_workspace_that_is_younger_than_the_base_backup_comes_out_of_the_log(
    platform: Platform, first: Tenant, archive: PgBackRestArchive, make: Callable[[], Tenant]
) -> None:
    before = datetime.now(UTC)
    young = make()
    write(platform, young, "kept")
    assert words(archive, young, datetime.now(UTC)) == ["kept"]
    with pytest.raises(NotFoundError):
        words(archive, young, before)


def test_nobody_else_gets_into_the_server_of_that_time_and_nothing_of_it_stays(
    platform: Platform, both: tuple[Tenant, Tenant], archive: PgBackRestArchive
) -> None:
    first, other = both
    home = EmbeddedServer(platform.settings)
    with archive.recovered(first.database or "", datetime.now(UTC), silent) as recovered:
        with recovered.session() as session:
            asked = "SELECT current_setting('listen_addresses'), current_setting('archive_mode'), usesuper FROM pg_user"
            assert session.execute(f"{asked} WHERE usename = current_user").fetchone() == ("", "off", False)
        for user in ("dba", "strongroom_provisioner"):
            with pytest.raises(psycopg.OperationalError, match=r"rejects|failed"):
                psycopg.connect(recovered.conninfo, user=user)
        with pytest.raises(psycopg.Error):
            with psycopg.connect(recovered.conninfo, dbname=other.database) as session:
                session.execute("SELECT FROM app.setting")
    assert list(home.root.glob("scratch-*")) == []


def test_the_command_for_a_moment_takes_the_way_that_the_settings_name(
    platform: Platform, archived: Repository, both: tuple[Tenant, Tenant], make: Callable[[], Tenant]
) -> None:
    own, stanza = make(), Stanza(NAME, STANZA, archived.config)
    knowing = replace(platform, settings=replace(platform.settings, pgbackrest=(stanza,)))
    write(platform, own, "before")
    between = datetime.now(UTC)
    write(platform, own, "after")
    with pytest.raises(RefusedError, match="archives the log"):
        restore_at(platform, own.slug, between)
    done = restore_at(knowing, own.slug, between)
    with platform.registry.connect(done.tenant) as conn:
        found = set(conn.scalars(text("SELECT key FROM app.setting WHERE value = '1'")))
    assert found == {"before"}


def test_a_repository_that_is_not_there_is_said_in_one_sentence(archive: PgBackRestArchive, tmp_path: Path) -> None:
    lost = PgBackRestArchive(archive.platform, archive.server, Stanza(NAME, STANZA, tmp_path / "none.conf"))
    with pytest.raises(FailedError, match="pgBackRest failed"):
        lost.window()
