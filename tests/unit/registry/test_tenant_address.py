import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from strongroom.config.errors import FailedError
from strongroom.config.settings import Settings
from strongroom.platform.registry.address import tenant_address
from strongroom.platform.servers.records import Server

SOCKET = Server("one", "uk", "embedded", "/run/pg", 5432, accepts_tenants=True, created_at=datetime.now(UTC))
TCP = dataclasses.replace(SOCKET, kind="external", host="db.example", port=5433)
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def test_a_socket_needs_no_tls(settings: Settings) -> None:
    address = tenant_address(SOCKET, settings)
    assert address.parameters == {"host": "/run/pg", "port": 5432, "sslmode": "disable"}
    assert not address.pooled


def test_over_tcp_the_traffic_is_encrypted_and_silence_ends_it(settings: Settings) -> None:
    parameters = tenant_address(TCP, settings).parameters
    assert (parameters["host"], parameters["port"], parameters["sslmode"]) == ("db.example", 5433, "require")
    assert parameters["tcp_user_timeout"] == 10_000
    assert parameters["keepalives"] == 1


def test_with_an_authority_the_server_must_prove_its_name(settings: Settings) -> None:
    server = dataclasses.replace(TCP, tls_authority=PEM)
    parameters = tenant_address(server, settings).parameters
    file = Path(parameters["sslrootcert"])
    assert parameters["sslmode"] == "verify-full"
    assert file == settings.run_dir / "servers" / "one.crt"
    assert file.read_text(encoding="utf-8") == PEM
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["one.crt"]


def test_a_new_authority_replaces_the_file(settings: Settings) -> None:
    tenant_address(dataclasses.replace(TCP, tls_authority=PEM), settings)
    parameters = tenant_address(dataclasses.replace(TCP, tls_authority=PEM * 2), settings).parameters
    assert Path(parameters["sslrootcert"]).read_text(encoding="utf-8") == PEM * 2


def test_an_authority_that_cannot_be_written_is_said(settings: Settings) -> None:
    settings.run_dir.parent.mkdir(exist_ok=True)
    settings.run_dir.write_text("a file is in the way")
    with pytest.raises(FailedError, match="cannot be written"):
        tenant_address(dataclasses.replace(TCP, tls_authority=PEM), settings)


def test_a_pooler_stands_in_front_for_tenants(settings: Settings) -> None:
    address = tenant_address(dataclasses.replace(TCP, pooler_host="/run/bouncer", pooler_port=6432), settings)
    assert address.parameters == {"host": "/run/bouncer", "port": 6432, "sslmode": "disable"}
    assert address.pooled
