"""What `server add` takes, refuses and leaves behind."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from debian_server import NAME, REGION, RULES, DebianServer, start, write_certificates
from sqlalchemy import update

from strongroom import cli
from strongroom.config.errors import (
    CallError,
    FailedError,
    RefusedError,
    StrongroomError,
    UnavailableError,
    VerificationError,
)
from strongroom.config.settings import Settings
from strongroom.platform.audit import queries as audit
from strongroom.platform.control.platform import Platform
from strongroom.platform.control.tables import server as servers_table
from strongroom.platform.keys import KeyStore
from strongroom.platform.servers import queries as servers
from strongroom.platform.servers.records import Server
from strongroom.provisioning import server_add
from strongroom.provisioning.admin_login import AdminLogin, read_admin_login
from strongroom.provisioning.initialise import initialise_home
from strongroom.provisioning.names import MIGRATOR, PROVISIONER
from strongroom.provisioning.postgres.configuration import SUPERUSER
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.server_add import NewServer, add_server
from strongroom.provisioning.server_check import check_server
from strongroom.provisioning.server_layers import closing_rules


def dsn_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "server.dsn"
    file.touch(mode=0o600)
    file.write_text(text)
    file.chmod(mode)
    return file


def login(folder: Path, text: str) -> AdminLogin:
    return read_admin_login(dsn_file(folder, text))


def known(platform: Platform, name: str = NAME) -> Server:
    with platform.control.connect() as conn:
        return servers.by_name(conn, name)


@contextmanager
def unchanged(platform: Platform) -> Generator[None]:
    """Put the server's record back as it was."""
    before = known(platform)
    try:
        yield
    finally:
        with platform.control.begin() as conn:
            values = {"rules_are_ours": before.rules_are_ours, "connection_limit": before.connection_limit}
            conn.execute(update(servers_table).where(servers_table.c.name == NAME).values(**values))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "must name one host"),
        ("no connection string", "holds no connection string"),
        ("host=a,b user=x password=y", "must name one host"),
        ("host=a password=y", "must name the superuser"),
        ("host=a user=x", "must contain the superuser's password"),
        ("service=x host=a user=x password=y", "must not contain service"),
        ("host=a user=x password=y sslrootcert=/nowhere.crt", "certificate authority in PEM"),
        ("host=a user=x password=y sslrootcert=system", "certificate authority in PEM"),
    ],
)
def test_a_file_that_is_no_usable_login_is_refused_without_its_content(
    tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(CallError, match=sentence) as refusal:
        login(tmp_path, text)
    assert "password=y" not in str(refusal.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(CallError, match="chmod 600"):
        read_admin_login(dsn_file(tmp_path, "host=a user=x password=y", mode))


@pytest.mark.parametrize("text", ["postgresql://x:y@a/postgres", "host=a user=x password=y"])
def test_a_connection_string_on_the_command_line_is_refused(text: str) -> None:
    with pytest.raises(CallError, match="Give a file"):
        read_admin_login(Path(text))


def test_a_wrong_password_is_one_sentence_that_does_not_repeat_it(
    external_server: DebianServer, tmp_path: Path
) -> None:
    wrong = external_server.dsn.replace(external_server.password, "mistyped")
    with pytest.raises(FailedError, match="does not let the login in: password authentication failed") as refusal:
        login(tmp_path, wrong).connect()
    assert "mistyped" not in str(refusal.value)


def test_another_authority_is_not_believed(external_server: DebianServer, tmp_path: Path) -> None:
    write_certificates(tmp_path)
    other = tmp_path / "authority.crt"
    with pytest.raises(FailedError, match="SSL error"):
        login(tmp_path, external_server.dsn.replace(str(external_server.authority), str(other))).connect()


@pytest.mark.parametrize(
    ("new", "error"),
    [
        (NewServer("second", "atlantis"), CallError),
        (NewServer("Second", REGION), CallError),
        (NewServer("../second", REGION), CallError),
        (NewServer("embedded", "uk"), RefusedError),
        (NewServer(NAME, "uk"), RefusedError),
        (NewServer("second", REGION), RefusedError),
        (NewServer(NAME, REGION, connections=1000), CallError),
        (NewServer(NAME, REGION, pooler=("127.0.0.1", 6432)), RefusedError),  # no certificate
        (NewServer(NAME, REGION, pooler=("/nowhere", 6432)), RefusedError),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    platform: Platform, external_server: DebianServer, tmp_path: Path, new: NewServer, error: type[StrongroomError]
) -> None:
    with platform.control.connect() as conn:
        before = servers.list_all(conn)
    with pytest.raises(error):
        add_server(platform, new, login(tmp_path, external_server.dsn), "tests")
    with platform.control.connect() as conn:
        assert servers.list_all(conn) == before


def test_repeating_it_changes_nothing_but_what_is_said(
    platform: Platform, external_server: DebianServer, tmp_path: Path
) -> None:
    before = known(platform)
    with unchanged(platform):
        add_server(platform, NewServer(NAME, REGION), login(tmp_path, external_server.dsn), "tests")
        assert known(platform) == before
        add_server(platform, NewServer(NAME, REGION, connections=20), login(tmp_path, external_server.dsn), "tests")
        assert known(platform).connection_limit == 20
    with platform.control.connect() as conn:
        entry = audit.newest(conn, 1)[0]
    assert (entry.action, entry.operator, entry.detail["server"]) == ("server.added", "tests", NAME)


def test_another_installation_does_not_take_a_server_over(
    platform: Platform, external_server: DebianServer, tmp_path: Path
) -> None:
    """Its name is free, its address is spelt differently, and still its roles' logins are known to be others'."""
    spelt = external_server.dsn.replace("host=127.0.0.1", "host=localhost")
    with pytest.raises(RefusedError, match="another installation, or of this one under another name"):
        add_server(platform, NewServer("stranger", REGION), login(tmp_path, spelt), "tests")


def test_the_server_of_the_control_database_is_not_added_a_second_time(
    platform: Platform, embedded_server: EmbeddedServer, tmp_path: Path
) -> None:
    folder = embedded_server.socket_dir
    for host, sentence in ((folder, "in service already"), (f"{folder}/../{folder.name}", "the control database")):
        text = f"host={host} port={embedded_server.port} user={SUPERUSER}"
        with pytest.raises(RefusedError, match=sentence):
            add_server(platform, NewServer("again", REGION), login(tmp_path, text), "tests")


@pytest.mark.parametrize(("bound", "version"), [("_NEWEST", 14), ("_OLDEST", 99)])
def test_a_version_that_is_not_supported_is_refused(
    platform: Platform,
    external_server: DebianServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bound: str,
    version: int,
) -> None:
    monkeypatch.setattr(server_add, bound, version)
    with pytest.raises(RefusedError, match="supported are"):
        add_server(platform, NewServer(NAME, REGION), login(tmp_path, external_server.dsn), "tests")


def test_the_command_says_what_it_did_and_that_the_login_is_not_kept(
    settings: Settings, external_server: DebianServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    initialise_home(settings)
    arguments = ["--home", str(settings.home), "server"]
    file = dsn_file(tmp_path, external_server.dsn)
    assert cli.run([*arguments, "add", NAME, "--dsn-file", str(file), "--region", REGION]) == 0
    said = capsys.readouterr()
    assert "The superuser's login was used once and is not kept." in said.out
    assert "TLS: holds (TLSv1.3; the server proves its name by its certificate)" in said.out
    assert external_server.password not in said.out + said.err
    assert cli.run([*arguments, "rules", NAME]) == 0
    assert capsys.readouterr().out == RULES
    assert cli.run([*arguments, "drain", NAME]) == cli.run([*arguments, "undrain", NAME]) == 0
    capsys.readouterr()
    assert cli.run([*arguments, "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows[NAME]["kind"], rows[NAME]["accepts_tenants"], rows[NAME]["pooler"]) == ("external", True, None)
    file.chmod(0o644)
    assert cli.run([*arguments, "add", NAME, "--dsn-file", str(file), "--region", REGION]) == 2
    assert cli.run([*arguments, "check", "nowhere"]) == 3


def test_each_server_has_logins_of_its_own(platform: Platform, external_server: DebianServer) -> None:
    keys: KeyStore = platform.keys
    for role in (PROVISIONER, MIGRATOR):
        assert keys.service_credential(role, NAME).verifier != keys.service_credential(role).verifier


def test_the_superusers_password_is_kept_nowhere(
    platform: Platform, settings: Settings, external_server: DebianServer
) -> None:
    secret = external_server.password.encode()
    kept = [path for path in settings.home.rglob("*") if path.is_file() and "postgres" not in path.parts]
    assert kept
    assert [path for path in kept if secret in path.read_bytes()] == []
    said = (external_server.cluster.data.parent / "log").read_bytes()
    assert b"SCRAM-SHA-256$" not in said


def test_the_lines_that_it_asks_for_are_those_that_hold(external_server: DebianServer, platform: Platform) -> None:
    assert closing_rules(known(platform)) == RULES


def test_open_rules_are_named_with_the_lines_that_close_them(
    platform: Platform, external_server: DebianServer, tmp_path: Path
) -> None:
    with external_server.rules("host all all all scram-sha-256\n"):
        with pytest.raises(VerificationError, match="lets tenants' logins into all") as found:
            add_server(platform, NewServer(NAME, REGION), login(tmp_path, external_server.dsn), "tests")
        assert "hostssl sameuser +tenant_logins" in str(found.value)
        report = check_server(platform, NAME)
    assert [layer.holding.value for layer in report.layers] == ["holds", "open", "holds", "holds"]
    assert report.findings != []


def test_where_the_rules_are_not_ours_open_ones_are_stated_and_the_access_lists_hold_alone(
    platform: Platform, external_server: DebianServer, tmp_path: Path
) -> None:
    with unchanged(platform), external_server.rules("host all all all scram-sha-256\n"):
        managed = NewServer(NAME, REGION, rules_are_ours=False)
        report = add_server(platform, managed, login(tmp_path, external_server.dsn), "tests")
    assert report.findings == []
    rules = report.layers[1]
    assert (rules.name, rules.holding.value) == ("pg_hba.conf", "not relied on")
    assert rules.detail.endswith("tenants are held by the access lists alone")


def test_rules_that_shut_the_platform_out_are_said_with_the_remedy(
    platform: Platform, external_server: DebianServer, tmp_path: Path
) -> None:
    with external_server.rules(""):
        with pytest.raises(FailedError, match="does not let the platform's roles in"):
            add_server(platform, NewServer(NAME, REGION), login(tmp_path, external_server.dsn), "tests")


def test_a_login_without_superuser_is_refused(
    platform: Platform, external_server: DebianServer, tmp_path: Path
) -> None:
    with external_server.connect_admin() as admin:
        admin.execute("CREATE ROLE clerk LOGIN CREATEROLE CREATEDB PASSWORD 'clerk'")
        admin.execute("GRANT CONNECT ON DATABASE postgres TO clerk")
        try:
            text = external_server.dsn.replace("user=dba", "user=clerk").replace(external_server.password, "clerk")
            with external_server.rules(RULES + "hostssl postgres clerk all scram-sha-256\n"):
                with pytest.raises(RefusedError, match="is no superuser"):
                    add_server(platform, NewServer(NAME, REGION), login(tmp_path, text), "tests")
        finally:
            admin.execute("REVOKE ALL ON DATABASE postgres FROM clerk")
            admin.execute("DROP ROLE clerk")


def test_a_server_without_tls_is_refused(platform: Platform, reachable_tmp: Path, tmp_path: Path) -> None:
    plain = start(reachable_tmp, tls=False)
    try:
        text = plain.dsn.partition(" sslrootcert")[0]
        with pytest.raises(RefusedError, match="speaks no TLS"):
            add_server(platform, NewServer("plain", REGION), login(tmp_path, text), "tests")
    finally:
        plain.cluster.stop()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("sslmode=disable", "no pg_hba.conf entry"),
        ("sslmode=require ssl_max_protocol_version=TLSv1.2", "protocol version"),
    ],
)
def test_a_client_without_tls_1_3_is_refused_by_the_server(
    external_server: DebianServer, options: str, reason: str
) -> None:
    without_authority = external_server.dsn.partition(" sslrootcert")[0]
    with pytest.raises(psycopg.OperationalError, match=reason):
        psycopg.connect(f"{without_authority} dbname=postgres {options}")


def test_lower_settings_are_hints_and_no_failure(platform: Platform, external_server: DebianServer) -> None:
    with external_server.connect_admin() as admin:
        admin.execute("ALTER SYSTEM SET ssl_min_protocol_version = 'TLSv1.2'")
        external_server.reload()
        try:
            report = check_server(platform, NAME)
        finally:
            admin.execute("ALTER SYSTEM RESET ssl_min_protocol_version")
            external_server.reload()
    assert [hint.setting for hint in report.hints] == ["ssl_min_protocol_version"]
    assert report.findings == []


def test_a_monitoring_login_of_the_servers_people_is_no_gap_and_a_second_superuser_is(
    platform: Platform, external_server: DebianServer
) -> None:
    with external_server.connect_admin() as admin:
        admin.execute("CREATE ROLE monitoring LOGIN IN ROLE pg_monitor")
        try:
            assert check_server(platform, NAME).findings == []
            admin.execute("ALTER ROLE monitoring SUPERUSER")
            assert [f"{f.where} {f.sentence}" for f in check_server(platform, NAME).findings] != []
        finally:
            admin.execute("DROP ROLE monitoring")


def test_a_drained_server_gets_no_workspaces(platform: Platform, external_server: DebianServer) -> None:
    with platform.control.connect() as conn:
        servers.set_accepts_tenants(conn, NAME, accepts=False)
        with pytest.raises(UnavailableError):
            servers.choose(conn, REGION)
        servers.set_accepts_tenants(conn, NAME, accepts=True)
        assert servers.choose(conn, REGION).name == NAME
        conn.rollback()
