import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from strongroom.config.errors import RefusedError
from strongroom.platform.keys import DatabaseCredential
from strongroom.platform.servers.records import Server
from strongroom.provisioning.pooler.certificate import new_certificate, serves, trusted, trusts
from strongroom.provisioning.pooler.configuration import Plan, logins_text, rules_text, settings_text

PLAN = Plan(Path("/etc/pgbouncer/main"), ("db1.example", 6432))
SERVER = Server(
    "main", "uk", "external", "10.0.0.7", 5432, accepts_tenants=True, created_at=datetime(2026, 1, 1, tzinfo=UTC)
)
READY = dataclasses.replace(SERVER, connection_limit=80, tls_authority="PEM")


def lines(server: Server = READY, plan: Plan = PLAN) -> dict[str, str]:
    pairs = (line.split(" = ", 1) for line in settings_text(server, plan).splitlines() if " = " in line)
    return {name: value for name, value in pairs}  # noqa: C416 - a list is no pair to the type checker


def test_no_more_clients_get_in_than_the_server_has_connections_and_no_session_outlives_its_client() -> None:
    found = lines()
    assert found["max_client_conn"] == "80"
    assert found["server_lifetime"] == "0"
    assert found["pool_mode"] == "session"


def test_a_session_that_is_kept_is_wiped() -> None:
    found = lines(plan=dataclasses.replace(PLAN, reuse=5))
    assert found["server_idle_timeout"] == "5"
    assert found["server_reset_query"] == "DISCARD ALL"


def test_both_sides_are_proved_and_encrypted() -> None:
    found = lines()
    assert found["client_tls_sslmode"] == "require"
    assert found["client_tls_protocols"] == "tlsv1.3"
    assert found["server_tls_sslmode"] == "verify-full"


def test_a_socket_needs_no_tls() -> None:
    server = dataclasses.replace(READY, host="/run/it's", tls_authority=None)
    text = settings_text(server, dataclasses.replace(PLAN, address=("/run/bouncer", 6432)))
    assert "tls" not in text
    assert "host='/run/it''s'" in text
    assert "unix_socket_dir = /run/bouncer" in text
    assert rules_text("/run/bouncer").startswith("local sameuser all scram-sha-256\n")


@pytest.mark.parametrize(
    ("server", "plan"),
    [
        (dataclasses.replace(READY, tls_authority=None), PLAN),  # anybody could pass for it
        (dataclasses.replace(READY, connection_limit=None), PLAN),
        (READY, dataclasses.replace(PLAN, address=None)),
    ],
)
def test_what_could_not_hold_is_refused(server: Server, plan: Plan) -> None:
    with pytest.raises(RefusedError):
        settings_text(server, plan)


def test_each_login_enters_the_database_of_its_own_name_only() -> None:
    allowed = [line.split() for line in rules_text("db1.example").splitlines() if not line.endswith("reject")]
    assert {(rule[0], rule[1], rule[-1]) for rule in allowed} == {("hostssl", "sameuser", "scram-sha-256")}


def test_the_list_of_logins_holds_verifiers_only() -> None:
    credential = DatabaseCredential.generate("t_abc")
    assert logins_text([credential]) == f'"t_abc" "{credential.verifier}"\n'


@pytest.mark.parametrize("host", ["db1.example", "10.0.0.7", "::1"])
def test_a_certificate_names_its_host(host: str) -> None:
    _, pem = new_certificate(host)
    assert serves(pem, host)
    assert not serves(pem, "other.example")
    assert not serves("nothing", host)


def test_a_new_certificate_is_trusted_beside_the_one_still_in_use() -> None:
    known: str | None = None
    made = [new_certificate("db1.example")[1] for _ in range(6)]
    for pem in made:
        known = trusted(known, pem)
    certificates = x509.load_pem_x509_certificates((known or "").encode())
    assert known == "".join(made[-4:])
    assert len({certificate.subject for certificate in certificates}) == 4  # OpenSSL tells them apart by that
    assert trusted(known, made[-1]) == known


def test_one_of_several_trusted_certificates_has_to_name_the_host() -> None:
    both = "".join(new_certificate(host)[1] for host in ("db1.example", "db2.example"))
    assert [trusts(both, host) for host in ("db1.example", "db2.example", "db3.example")] == [True, True, False]
    assert not trusts("", "db1.example")
