"""Throw-away instances: nobody powerful in them, nothing left of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from strongroom.config.settings import load_settings
from strongroom.provisioning.postgres import postmaster
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.postgres.locks import exclusive
from strongroom.provisioning.postgres.scratch import scratch, sweep

HOLD = """
import sys
from pathlib import Path
from strongroom.config.settings import load_settings
from strongroom.provisioning.postgres.scratch import scratch
with scratch(load_settings(Path(sys.argv[1]))) as instance:
    print(instance.folder, flush=True)
    sys.stdin.read()
"""


def scratch_folders(server: EmbeddedServer) -> list[Path]:
    return list(server.root.glob("scratch-*"))


def test_its_only_login_is_no_superuser(home: Path) -> None:
    with scratch(load_settings(home)) as instance:
        with psycopg.connect(instance.conninfo(), autocommit=True) as session:
            session.execute("CREATE DATABASE restored")
            shown = session.execute("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
            assert shown.fetchone() == (False, False)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("COPY (SELECT 1) TO PROGRAM 'true'")
        for role in ("strongroom_admin", "postgres"):
            refused = make_conninfo(instance.conninfo(), user=role)
            with pytest.raises(psycopg.OperationalError, match="rejects connection"):
                psycopg.connect(refused)


def test_nothing_is_left_of_it(home: Path) -> None:
    settings = load_settings(home)
    with scratch(settings) as instance:
        data = instance.folder / "data"
        assert postmaster.running_pid(data) is not None
    assert postmaster.running_pid(data) is None
    assert not instance.folder.exists()
    assert not instance.socket_dir.exists()


def test_two_side_by_side_do_not_share_anything(home: Path) -> None:
    settings = load_settings(home)
    with scratch(settings) as one, scratch(settings) as other:
        with psycopg.connect(one.conninfo(), autocommit=True) as session:
            session.execute("CREATE DATABASE only_here")
        with psycopg.connect(other.conninfo()) as session:
            assert session.execute("SELECT FROM pg_database WHERE datname = 'only_here'").fetchone() is None


def test_what_a_killed_process_left_is_swept_and_what_lives_is_not(home: Path) -> None:
    server = EmbeddedServer(load_settings(home))
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    folder = Path(process.stdout.readline().decode().strip())
    with exclusive(server.start_lock):
        sweep(server)
    assert scratch_folders(server) == [folder]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert postmaster.running_pid(folder / "data") is not None
    with scratch(load_settings(home)) as mine:
        assert scratch_folders(server) == [mine.folder]
        assert postmaster.running_pid(folder / "data") is None
