"""Homes and programs in folders that PostgreSQL's account cannot enter, as under root in /root."""

import os
import shutil
from pathlib import Path

import pytest

from strongroom.config.settings import load_settings
from strongroom.provisioning.postgres import places
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.postgres.programs import find_bindir


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def reachable(reachable_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for /var/lib/strongroom."""
    folder = reachable_tmp / "var-lib"
    monkeypatch.setattr(places, "_REACHABLE", folder)
    return folder


def works(server: EmbeddedServer) -> None:
    server.initialise()
    with server.session(), server.admin_door(), server.connect_admin() as admin:
        assert admin.execute("SELECT true").fetchone() == (True,)


def test_data_goes_where_the_account_reaches_it_and_the_home_links_there(
    closed: Path, reachable: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = closed / "home"
    server = EmbeddedServer(load_settings(home))
    works(server)
    assert closed.stat().st_mode & 0o777 == 0o700  # no mode of a folder that we did not make was changed
    if os.geteuid() == 0:
        assert server.root.parent == reachable
        assert (home / "postgres").resolve() == server.root
        assert len(caplog.records) == 1
        assert str(server.root) in caplog.text
    else:
        assert server.root == home / "postgres"
        assert caplog.records == []
    caplog.clear()
    works(EmbeddedServer(load_settings(home)))  # found again, and said only once
    assert caplog.records == []


def test_a_removed_homes_data_does_not_come_back_in_its_successor(closed: Path, reachable: Path) -> None:
    home = closed / "home"
    server = EmbeddedServer(load_settings(home))
    server.initialise()
    assert (server.root / "data").exists()
    shutil.rmtree(home)
    assert not (EmbeddedServer(load_settings(home)).root / "data").exists()


def test_programs_are_copied_once_to_where_the_account_reaches_them(closed: Path, reachable: Path, home: Path) -> None:
    original = find_bindir(load_settings(home))
    (closed / "pg").symlink_to(original.parent)
    settings = load_settings(home, postgres_bindir=str(closed / "pg" / "bin"))
    server = EmbeddedServer(settings)
    works(server)
    if os.geteuid() == 0:
        assert server.bindir.is_relative_to(reachable)
        assert len(list(reachable.glob("programs-*"))) == 1
    else:
        assert server.bindir == closed / "pg" / "bin"
    assert EmbeddedServer(settings).bindir == server.bindir
