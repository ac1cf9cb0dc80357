"""The operator's own certificate: served, replaced without a restart, and never replaced by a broken one."""

import ssl
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from strongroom.config.errors import FailedError
from strongroom.config.settings import load_settings
from strongroom.platform.web.listening import answers_https, serves_newest
from strongroom.platform.web.own_certificate import read_own, standing
from strongroom.platform.web.tls import ensure_certificates, tls_files
from strongroom.provisioning.healthy import certificate_check

NAMES = ["localhost", "*.localhost"]


def serial_of(listener):
    with listener.connect() as caller:
        return x509.load_der_x509_certificate(caller.getpeercert(binary_form=True)).serial_number


def serial_in(path):
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


@pytest.fixture
def own(tmp_path, authority):
    """`own(home, days)` writes a certificate there, and settings that name it; returns the settings."""
    ours = authority("Our authority")

    def write(days=90, names=NAMES):
        path = ours.issue(tmp_path / "own.pem", names, days)
        return load_settings(tmp_path / "home", tls_certificate=str(path), tls_key=str(path))

    return write


def test_it_is_served_and_a_new_one_without_a_restart(listen, authority, tmp_path, wait_for):
    ours = authority("Our authority")
    path = ours.issue(tmp_path / "own.pem", NAMES)
    https = listen("https", f'tls_certificate = "{path}"\ntls_key = "{path}"')
    assert serial_of(https) == serial_in(path)
    assert answers_https(https.settings)
    path.write_text("-----BEGIN CERTIFICATE-----\nhalf")
    ours.issue(tmp_path / "next.pem", NAMES).replace(path)

    def is_served():
        with suppress(OSError):  # that nobody is turned away meanwhile is another test's matter
            return serial_of(https) == serial_in(path)
        return False

    wait_for(is_served, "the new certificate is not served")
    wait_for(lambda: serves_newest(https.settings), "the old one is still served")
    assert https.process.poll() is None


def test_while_the_next_process_loads_nobody_is_turned_away(listen, authority, tmp_path):
    ours = authority("Our authority")
    path = ours.issue(tmp_path / "own.pem", NAMES)
    https = listen("https", f'tls_certificate = "{path}"\ntls_key = "{path}"')
    (https.settings.home / "slow").write_text("3")
    ours.issue(tmp_path / "next.pem", NAMES).replace(path)
    deadline = time.monotonic() + 60
    while serial_of(https) != serial_in(path):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert https.process.poll() is None


def test_a_broken_one_changes_nothing(own):
    settings = own()
    ensure_certificates(settings)
    served = tls_files(settings).server.read_bytes()
    for broken in ("", "-----BEGIN CERTIFICATE-----\nhalf", "no certificate"):
        settings.own_certificate[0].write_text(broken)
        with pytest.raises(FailedError, match="no certificate in PEM form"):
            ensure_certificates(settings)
        assert tls_files(settings).server.read_bytes() == served


def test_a_key_of_another_certificate_is_refused(own, authority, tmp_path):
    settings = own()
    other = authority("Another").issue(tmp_path / "other.pem", NAMES)
    with pytest.raises(FailedError, match="does not belong"):
        read_own(load_settings(tmp_path / "home", tls_certificate=settings.tls_certificate, tls_key=str(other)))


def test_one_that_has_ended_is_refused(own):
    with pytest.raises(FailedError, match="has ended on"):
        read_own(own(days=-1))


def test_files_that_are_missing_are_named(tmp_path):
    settings = load_settings(tmp_path / "home", tls_certificate="gone.pem", tls_key="gone.pem")
    with pytest.raises(FailedError, match=r"home/gone\.pem cannot be read"):
        read_own(settings)


def test_the_copy_is_for_its_owner_only_and_openssl_takes_it(own):
    settings = own()
    assert ensure_certificates(settings)
    assert not ensure_certificates(settings)
    served = tls_files(settings).server
    assert served.stat().st_mode & 0o777 == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(served)


def test_status_says_when_it_ends_and_what_is_wrong(own):
    now = datetime.now(UTC)
    settings = own(days=90)
    ensure_certificates(settings)
    served = tls_files(settings).server
    assert certificate_check(standing(settings, served), now).ok
    soon = certificate_check(standing(settings, served), now + timedelta(days=77))
    assert not soon.ok
    assert soon.detail.endswith("it is to be renewed")
    settings.own_certificate[0].write_text("half")
    broken = certificate_check(standing(settings, served), now)
    assert not broken.ok
    assert "the newer one is not used" in broken.detail


def test_status_says_which_names_are_missing(own):
    settings = own(names=["localhost"])
    ensure_certificates(settings)
    found = certificate_check(standing(settings, tls_files(settings).server), datetime.now(UTC))
    assert found.detail.endswith("it does not name *.localhost")
