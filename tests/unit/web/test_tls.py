import stat
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from strongroom.config.errors import FailedError
from strongroom.config.settings import Settings, load_settings
from strongroom.platform.web import tls
from strongroom.platform.web.tls import ensure_certificates, ensure_proxy_certificates, server_names, tls_files


@pytest.fixture
def settings(tmp_path):
    return load_settings(tmp_path / "home")


def names_of(settings):
    certificate = x509.load_pem_x509_certificate(tls_files(settings).server.read_bytes())
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return alternative.get_values_for_type(x509.DNSName)


def openssl_verifies(settings, host):
    files = tls_files(settings)
    command = ["openssl", "verify", "-x509_strict", "-CAfile", files.authority, "-verify_hostname", host, files.server]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_openssl_accepts_the_certificate_for_the_site_and_each_workspace(settings):
    ensure_certificates(settings, ["acme"])
    assert openssl_verifies(settings, "localhost")
    assert openssl_verifies(settings, "acme.localhost")
    assert not openssl_verifies(settings, "other.localhost")
    assert not openssl_verifies(settings, "example.com")


def test_a_base_domain_with_a_dot_is_covered_by_a_wildcard_that_names_no_customer(tmp_path):
    settings = load_settings(tmp_path / "home", base_domain="rooms.test")
    ensure_certificates(settings, ["acme"])
    assert names_of(settings) == ["rooms.test", "*.rooms.test"]
    assert openssl_verifies(settings, "acme.rooms.test")


def test_the_authority_is_limited_to_the_base_domain_and_loopback(settings):
    ensure_certificates(settings)
    authority = x509.load_pem_x509_certificate(tls_files(settings).authority.read_bytes())
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert x509.DNSName("localhost") in (constraints.value.permitted_subtrees or [])


def test_private_keys_are_readable_by_their_owner_only(settings):
    ensure_certificates(settings)
    ensure_proxy_certificates(settings)
    for name in ("ca-key.pem", "server.pem", "worker.pem", "proxy.pem"):
        assert stat.S_IMODE((settings.tls_dir / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.tls_dir.stat().st_mode) == 0o700


def test_nothing_changes_while_the_certificate_lasts_and_has_all_names(settings):
    assert ensure_certificates(settings, ["acme", "other"])
    assert not ensure_certificates(settings, ["acme"])
    assert ensure_certificates(settings, ["acme", "new"])
    assert "new.localhost" in names_of(settings)


def test_the_certificate_is_renewed_before_it_ends_by_the_same_authority(settings, monkeypatch):
    ensure_certificates(settings)
    authority = tls_files(settings).authority.read_bytes()
    monkeypatch.setattr(tls, "datetime", clock(datetime.now(UTC) + timedelta(days=61)))
    assert ensure_certificates(settings)
    assert tls_files(settings).authority.read_bytes() == authority


def test_a_cut_off_certificate_is_made_again(settings):
    ensure_certificates(settings)
    tls_files(settings).server.write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    assert ensure_certificates(settings)
    load_pem_private_key(tls_files(settings).server.read_bytes().split(b"\n-----END CERTIFICATE-----\n")[1], None)


def test_another_base_domain_gets_another_authority(settings):
    ensure_certificates(settings)
    other = load_settings(settings.home, base_domain="rooms.test")
    assert ensure_certificates(other)
    assert openssl_verifies(other, "acme.rooms.test")


def test_the_number_of_names_is_bounded(settings):
    assert len(server_names(settings, (f"w{n}" for n in range(1000)))) == tls.MAX_NAMES + 2


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(FailedError, match="cannot be made"):
        ensure_certificates(Settings(home=tmp_path / "home"))


def test_the_proxy_may_only_call_and_a_web_process_only_serve(settings):
    ensure_proxy_certificates(settings)
    files = tls_files(settings)
    for path, purpose, other in ((files.proxy, "sslclient", "sslserver"), (files.worker, "sslserver", "sslclient")):
        command = ["openssl", "verify", "-x509_strict", "-CAfile", files.authority, "-purpose"]
        assert subprocess.run([*command, purpose, path], capture_output=True, check=False).returncode == 0
        assert subprocess.run([*command, other, path], capture_output=True, check=False).returncode != 0


def test_the_proxy_certificates_are_renewed_before_they_end_and_with_the_authority(settings, monkeypatch):
    def both():
        ensure_certificates(now)
        ensure_proxy_certificates(now)
        return tls_files(now).proxy.read_bytes(), tls_files(now).worker.read_bytes()

    now = settings
    first = both()
    assert both() == first
    now = load_settings(settings.home, base_domain="rooms.test")
    second = both()
    assert not set(first) & set(second)
    monkeypatch.setattr(tls, "datetime", clock(datetime.now(UTC) + timedelta(days=61)))
    assert not set(second) & set(both())


def clock(now):
    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return now.astimezone(tz or UTC)

    return Later
