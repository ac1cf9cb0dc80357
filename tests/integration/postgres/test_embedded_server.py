"""The embedded server's life: started and stopped by its users, back after any death."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.config.errors import RefusedError, UnavailableError
from strongroom.config.settings import Settings, load_settings
from strongroom.provisioning.postgres import places, postmaster
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.postgres.postmaster import PID_FILE

HOLD = """
import sys
from pathlib import Path
from strongroom.config.settings import load_settings
from strongroom.provisioning.postgres.embedded import EmbeddedServer
with EmbeddedServer(load_settings(Path(sys.argv[1]))).session():
    print("in", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def server(home: Path) -> EmbeddedServer:
    server = EmbeddedServer(load_settings(home))
    server.initialise()
    return server


def answers(server: EmbeddedServer) -> bool:
    with server.admin_door(), server.connect_admin() as admin:
        return admin.execute("SELECT true").fetchone() == (True,)


def user_of(settings: Settings) -> subprocess.Popen[str]:
    """Another process inside a session."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(settings.home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "in\n"
    return process


def close(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=120)


def test_starts_and_stops(server: EmbeddedServer) -> None:
    server.start()
    assert server.is_running()
    assert answers(server)
    server.start()  # running already
    server.stop()
    assert not server.is_running()
    server.stop()  # stopped already
    with pytest.raises(UnavailableError, match="does not let us in"):
        server.connect_admin()


def test_a_home_without_a_server_is_not_running_and_is_not_touched(home: Path) -> None:
    before = list(home.iterdir())
    assert not EmbeddedServer(load_settings(home)).is_running()
    assert list(home.iterdir()) == before


def test_initialise_again_keeps_the_data(server: EmbeddedServer) -> None:
    with server.session(), server.admin_door(), server.connect_admin() as admin:
        admin.execute("CREATE ROLE kept")
    server.initialise()
    with server.session(), server.admin_door(), server.connect_admin() as admin:
        assert admin.execute("SELECT FROM pg_roles WHERE rolname = 'kept'").fetchone() is not None


def test_data_is_checksummed_utf8_and_listens_on_no_network(server: EmbeddedServer) -> None:
    with server.session(), server.admin_door(), server.connect_admin() as admin:
        shown = admin.execute(
            "SELECT current_setting('data_checksums'), current_setting('listen_addresses'),"
            " current_setting('log_statement'), current_setting('password_encryption'),"
            " pg_encoding_to_char(encoding), datlocprovider::text, datlocale"
            " FROM pg_database WHERE datname = 'postgres'"
        ).fetchone()
    assert shown == ("on", "", "none", "scram-sha-256", "UTF8", "b", "C.UTF-8")


def test_the_last_one_out_stops_it(server: EmbeddedServer, home: Path) -> None:
    settings = load_settings(home)
    other = user_of(settings)
    with server.session():
        assert server.is_running()
    assert server.is_running()  # the other process is still in
    close(other)
    assert not server.is_running()


def test_a_killed_user_does_not_keep_it_running_for_ever(server: EmbeddedServer, home: Path) -> None:
    other = user_of(load_settings(home))
    other.kill()
    close(other)
    assert server.is_running()  # nobody was left to stop it
    with server.session():
        assert answers(server)
    assert not server.is_running()


def test_two_processes_that_start_at_once_share_one_server(server: EmbeddedServer, home: Path) -> None:
    settings = load_settings(home)
    both = [user_of(settings), user_of(settings)]
    assert answers(server)
    for process in both:
        close(process)
    assert not server.is_running()


def test_comes_back_after_kill_9(server: EmbeddedServer) -> None:
    with server.session(), server.admin_door():
        with server.connect_admin() as admin:
            admin.execute("CREATE ROLE survivor")
            pid = postmaster.running_pid(server.root / "data")
            assert pid
            os.kill(pid, signal.SIGKILL)
            while server.is_running():
                time.sleep(0.001)
            server.start()  # at once, while its children still hold the shared memory
        with server.connect_admin() as admin:
            assert admin.execute("SELECT FROM pg_roles WHERE rolname = 'survivor'").fetchone() is not None


def test_a_lock_file_whose_number_went_to_another_process_is_stale(server: EmbeddedServer) -> None:
    stranger = subprocess.Popen(["sleep", "60"], **server.account.keywords)
    try:
        pid_file = server.root / "data" / PID_FILE
        pid_file.write_text(f"{stranger.pid}\n{server.root / 'data'}\n")
        server.account.own(pid_file)
        socket_dir = places.private_folder(server.socket_dir, server.account)
        socket_lock = socket_dir / ".s.PGSQL.5432.lock"
        socket_lock.write_text(f"{stranger.pid}\n{server.root / 'data'}\n")
        server.account.own(socket_lock)
        assert not server.is_running()
        with server.session():
            assert answers(server)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_server_that_ended_but_was_not_waited_for_does_not_count(server: EmbeddedServer) -> None:
    zombie = subprocess.Popen(["true", "-D", str(server.root / "data")])
    while Path(f"/proc/{zombie.pid}/stat").read_text().split()[2] != "Z":
        time.sleep(0.01)
    (server.root / "data" / PID_FILE).write_text(f"{zombie.pid}\n")
    assert not server.is_running()
    zombie.wait()


def test_the_servers_own_reason_is_told_when_it_does_not_start(server: EmbeddedServer) -> None:
    (server.root / "data" / "global" / "pg_control").write_bytes(b"\0" * 8192)
    with pytest.raises(UnavailableError, match=r"^PostgreSQL failed: .*FATAL"):
        server.start()


def test_a_long_home_gets_its_socket_elsewhere(reachable_tmp: Path) -> None:
    long = reachable_tmp / ("long-" * 20) / "home"
    server = EmbeddedServer(load_settings(long))
    server.initialise()
    with server.session():
        assert answers(server)
        assert server.socket_dir.parent == Path("/tmp")
        assert server.socket_dir.stat().st_mode & 0o777 == 0o700
    assert not server.socket_dir.exists()


def test_a_home_with_blanks_and_quotes_works(reachable_tmp: Path) -> None:
    odd = reachable_tmp / 'it\'s, "odd" – ünï' / "home"
    server = EmbeddedServer(load_settings(odd))
    server.initialise()
    with server.session():
        assert answers(server)


def test_a_socket_folder_that_somebody_else_made_is_refused(server: EmbeddedServer, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    theirs = tmp_path / "theirs"
    theirs.symlink_to(elsewhere)
    with pytest.raises(Exception, match="belongs to somebody else"):
        places.private_folder(theirs, server.account)


def test_a_home_of_somebody_else_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner: Callable[[], int] = os.geteuid
    stranger = owner() + 1
    monkeypatch.setattr(places.os, "geteuid", lambda: stranger)
    with pytest.raises(RefusedError, match=f"{home} belongs to the user id {owner()}"):
        places.check_home(home)
