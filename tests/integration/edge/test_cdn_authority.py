"""Who signs the CDN's certificate may change while the listener runs; a file that is broken changes nothing."""

import http.client
import ssl

import pytest

from strongroom.config.errors import FailedError
from strongroom.config.settings import load_settings
from strongroom.platform.web.tls import ensure_cdn_authority, tls_files

SAID = [("CF-Connecting-IP", "203.0.113.9")]


def lets_in(listener, certificate):
    try:
        return listener.ask(headers=SAID, certificate=certificate)[0] == 200
    except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected):
        return False


def test_a_new_authority_is_believed_without_a_restart_and_the_old_one_no_more(listen, authority, tmp_path, wait_for):
    old, new = authority("The old zone"), authority("The new zone")
    path = old.write(tmp_path / "zone.pem")
    cdn = listen("cdn", f'cdn_authority = "{path}"')
    first = old.issue(tmp_path / "first.pem", client=True)
    second = new.issue(tmp_path / "second.pem", client=True)
    assert lets_in(cdn, first)
    assert not lets_in(cdn, second)
    new.write(path)
    wait_for(lambda: lets_in(cdn, second), "the new authority is not believed")
    wait_for(lambda: not lets_in(cdn, first), "the old authority is still believed")


def test_a_broken_file_changes_nothing(authority, tmp_path):
    path = authority("The zone").write(tmp_path / "zone.pem")
    settings = load_settings(tmp_path / "home", cdn_port=9443, cdn_authority=str(path))
    ensure_cdn_authority(settings)
    before = tls_files(settings).cdn.read_bytes()
    for broken in ("", "-----BEGIN CERTIFICATE-----\nhalf"):
        path.write_text(broken)
        with pytest.raises(FailedError, match="no certificate in PEM form"):
            ensure_cdn_authority(settings)
    path.unlink()
    with pytest.raises(FailedError, match="cannot be read"):
        ensure_cdn_authority(settings)
    assert tls_files(settings).cdn.read_bytes() == before
