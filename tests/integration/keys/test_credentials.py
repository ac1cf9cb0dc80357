"""A credential without a password logs in to a real server, with psycopg and with pg_dump; another's does not."""

import base64
import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from strongroom.config.errors import FailedError
from strongroom.config.settings import Settings
from strongroom.platform.keys import DatabaseCredential
from strongroom.provisioning.postgres.embedded import EmbeddedServer

CREDENTIAL = DatabaseCredential.generate("t_abcdefghijklmnop")


@pytest.fixture(scope="module")
def server(reachable_tmp: Path) -> Generator[EmbeddedServer]:
    base = reachable_tmp / "credentials"
    embedded = EmbeddedServer(Settings(home=base / "home", backup_root=base / "backups"))
    embedded.initialise()
    with embedded.session(), embedded.admin_door():
        with embedded.connect_admin() as admin:
            admin.execute("CREATE ROLE tenant_logins")
            role, verifier = sql.Identifier(CREDENTIAL.role), sql.Literal(CREDENTIAL.verifier)
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN IN ROLE tenant_logins PASSWORD {}").format(role, verifier))
            admin.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(role))
        yield embedded


def log_in(server: EmbeddedServer, credential: DatabaseCredential) -> str:
    parameters = credential.conninfo_params() | {"user": CREDENTIAL.role, "dbname": CREDENTIAL.role}
    where = make_conninfo(host=str(server.socket_dir), port=server.port, **parameters)
    with psycopg.connect(where) as connection:
        row = connection.execute("SELECT current_user").fetchone()
        assert row is not None
        return row[0]


def test_the_keys_log_in(server: EmbeddedServer) -> None:
    assert log_in(server, CREDENTIAL) == CREDENTIAL.role


def test_the_server_keeps_the_verifier_as_it_was_sent(server: EmbeddedServer) -> None:
    with server.connect_admin() as admin:
        stored = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (CREDENTIAL.role,)).fetchone()
    assert stored == (CREDENTIAL.verifier,)


def test_another_credential_does_not_log_in(server: EmbeddedServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        log_in(server, DatabaseCredential.generate(CREDENTIAL.role))


def test_the_verifier_alone_does_not_log_in(server: EmbeddedServer) -> None:
    stored_key, server_key = CREDENTIAL.verifier.rpartition("$")[2].split(":")
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        log_in(server, DatabaseCredential(CREDENTIAL.role, stored_key, server_key, CREDENTIAL.verifier))


def test_a_server_that_does_not_know_the_verifier_is_not_believed(server: EmbeddedServer) -> None:
    forged = base64.b64encode(os.urandom(32)).decode()
    with pytest.raises(psycopg.OperationalError, match="server signature"):
        log_in(server, DatabaseCredential(CREDENTIAL.role, CREDENTIAL.scram_client_key, forged, ""))


def test_pg_dump_logs_in_through_a_service_file(server: EmbeddedServer, tmp_path: Path) -> None:
    path = tmp_path / "service.conf"
    conninfo = CREDENTIAL.write_service_file(path, str(server.socket_dir), server.port, CREDENTIAL.role)
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    program = [str(server.bindir / "pg_dump"), "--no-password", f"--dbname={conninfo}"]
    done = subprocess.run(program, env={"PGSERVICEFILE": str(path)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "PostgreSQL database dump complete" in done.stdout
    assert CREDENTIAL.scram_client_key not in " ".join(program)


def test_a_service_file_never_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "service.conf"
    path.write_text("somebody's")
    with pytest.raises(FailedError, match="cannot be written"):
        CREDENTIAL.write_service_file(path, "/run", 5432, "x")
    assert path.read_text() == "somebody's"


def test_a_parameter_cannot_bring_a_line_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="line break"):
        CREDENTIAL.write_service_file(tmp_path / "service.conf", "/run\nsslmode=disable", 5432, "x")


def test_two_credentials_share_nothing() -> None:
    other = DatabaseCredential.generate(CREDENTIAL.role)
    assert other.scram_client_key != CREDENTIAL.scram_client_key
    assert other.scram_server_key != CREDENTIAL.scram_server_key
    assert other.verifier != CREDENTIAL.verifier
