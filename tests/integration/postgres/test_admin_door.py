"""Nobody is the superuser of an installation, not even the account that it runs as, but for its set-up."""

import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from strongroom.config.errors import RefusedError
from strongroom.config.settings import Settings
from strongroom.platform.control.platform import open_platform
from strongroom.platform.servers import queries as servers
from strongroom.provisioning.isolation.verify import verify_isolation
from strongroom.provisioning.postgres import setup
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.postgres.setup import set_up

HOLD = """
import sys
from pathlib import Path
from strongroom.config.settings import load_settings
from strongroom.provisioning.postgres.embedded import EmbeddedServer
with EmbeddedServer(load_settings(Path(sys.argv[1]))).admin_door():
    print("in", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def installation(reachable_tmp: Path) -> Settings:
    base = reachable_tmp / "door"
    settings = Settings(home=base / "home", backup_root=base / "backups")
    set_up(settings, EmbeddedServer(settings))
    return settings


def holder(settings: Settings) -> subprocess.Popen[str]:
    """Another process that holds the door."""
    command = [sys.executable, "-c", HOLD, str(settings.home)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "in\n"
    return process


def is_shut(server: EmbeddedServer) -> bool:
    try:
        server.connect_admin().close()
    except RefusedError:
        return True
    return False


def test_the_door_is_shut_after_set_up_and_at_every_start(installation: Settings) -> None:
    server = EmbeddedServer(installation)
    with server.session():
        assert is_shut(server)
        with server.admin_door(), server.connect_admin() as admin:
            assert admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (True,)
        assert is_shut(server)


def test_the_last_one_out_shuts_it(installation: Settings) -> None:
    server = EmbeddedServer(installation)
    with server.session():
        other = holder(installation)
        with server.admin_door():
            pass
        assert not is_shut(server)
        other.communicate(timeout=120)
        assert is_shut(server)


def test_sessions_of_the_superuser_end_with_it(installation: Settings) -> None:
    server = EmbeddedServer(installation)
    with server.session():
        with server.admin_door():
            session = server.connect_admin()
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")


def test_a_killed_holder_leaves_it_open_only_until_the_next_start(installation: Settings) -> None:
    server = EmbeddedServer(installation)
    with server.session():
        other = holder(installation)
        os.kill(other.pid, signal.SIGKILL)
        other.communicate(timeout=120)
        assert not is_shut(server)
        with server.session():
            assert is_shut(server)


def test_a_server_that_comes_back_while_it_is_held_has_it_open(installation: Settings) -> None:
    server = EmbeddedServer(installation)
    with server.session(), server.admin_door():
        server.stop()
        server.start()
        server.connect_admin().close()


def test_setting_up_again_needs_no_superuser(
    installation: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = EmbeddedServer(installation)
    monkeypatch.setattr(server, "admin_door", lambda: pytest.fail("the door was opened"))
    set_up(installation, server)
    assert "superuser" not in caplog.text


def test_a_changed_program_is_set_up_again_and_it_is_said(
    installation: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(setup, "_fingerprint", lambda _: "another program")
    set_up(installation, EmbeddedServer(installation))
    assert "superuser was used once" in caplog.text


def let_in(server: EmbeddedServer) -> psycopg.Connection[Any]:
    """A session of the superuser, once the server has read the rules that let it in."""
    while True:
        with suppress(RefusedError):
            return server.connect_admin()


def test_the_gate_names_a_rule_that_lets_the_superuser_in_and_its_session(installation: Settings) -> None:
    server = EmbeddedServer(installation)
    rules, map_ = (server.root / "data" / name for name in ("pg_hba.conf", "pg_ident.conf"))
    with server.session(), open_platform(installation) as platform:
        assert verify_isolation(platform).problems() == []
        with server.admin_door():
            opened = rules.read_text(), map_.read_text()
            assert verify_isolation(platform).problems() == []  # somebody sets it up, and says so
        rules.write_text(opened[0])
        map_.write_text(opened[1])
        os.kill(int((server.root / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGHUP)
        with let_in(server):  # the only one: a session that has just ended may still be counted
            problems = verify_isolation(platform).problems()
        assert problems == ["pg_hba.conf line 1 lets the superuser in.", "1 session(s) belong to a superuser."]
    with server.session():
        assert is_shut(server)


def test_the_limit_of_connections_and_the_settings_are_in_effect(installation: Settings) -> None:
    with EmbeddedServer(installation).session(), open_platform(installation) as platform:
        with platform.control.connect() as conn:
            limit = servers.by_name(conn, "embedded").connection_limit
            shown = {row[0]: row[1] for row in conn.exec_driver_sql("SELECT name, setting FROM pg_settings")}
    assert limit == int(shown["max_connections"]) - int(shown["superuser_reserved_connections"]) - 20
    expected = {"huge_pages": "try", "recovery_init_sync_method": "syncfs", "autovacuum_naptime": "300"}
    assert {name: shown[name] for name in expected} == expected
