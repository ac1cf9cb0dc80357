"""`proxy config` writes what it was asked for, or says what to set first."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from strongroom import cli
from strongroom.config.settings import load_settings
from strongroom.platform.proxy import facts
from strongroom.platform.proxy.facts import proxy_facts
from strongroom.platform.proxy.haproxy import haproxy_configuration
from strongroom.platform.proxy.nginx import nginx_configuration
from strongroom.platform.web.tls import tls_files

KINDS = ("nginx", "haproxy")


@pytest.fixture
def call(tmp_path, capsys):
    """Runs `proxy config` on a home with these settings: (exit code, standard output, standard error)."""

    def run(text, *arguments, folder="home"):
        home = tmp_path / folder
        home.mkdir(exist_ok=True)
        (home / "strongroom.toml").write_text(text)
        return cli.run(["--home", str(home), "proxy", "config", *arguments]), *capsys.readouterr()

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_without_ports_for_the_processes_it_says_what_to_set(call, kind):
    code, out, err = call("", kind)
    assert (code, out) == (4, "")
    assert "set worker_port_base = 9000" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_configuration_names_every_process_and_files_that_exist(call, kind, tmp_path):
    text = 'worker_port_base = 9000\nweb_workers = 3\nbase_domain = "rooms.test"\nhttps_port = 443\nhttp_port = 80\n'
    code, out, _ = call(text, kind)
    assert code == 0
    for port in (9000, 9001, 9002):
        assert f"127.0.0.1:{port}" in out
    assert "127.0.0.1:9003" not in out
    assert "rooms.test:443" not in out
    for name in ("ca.pem", "server.pem", "proxy.pem"):
        path = tmp_path / "home" / "tls" / name
        assert str(path) in out
        assert path.exists()


def test_it_goes_to_a_file_or_into_a_document(call, tmp_path):
    path = tmp_path / "nginx.conf"
    code, out, _ = call("worker_port_base = 9000", "nginx", "--output", str(path))
    assert (code, out) == (0, f"{path} is written.\n")
    document = json.loads(call("worker_port_base = 9000", "nginx", "--json")[1])
    assert document == {"kind": "nginx", "configuration": path.read_text()}


def test_a_file_that_cannot_be_written_is_one_sentence(call, tmp_path):
    code, _, err = call("worker_port_base = 9000", "nginx", "--output", str(tmp_path / "none" / "nginx.conf"))
    assert (code, len(err.splitlines())) == (1, 1)


def test_a_home_whose_path_would_become_part_of_the_configuration_is_refused(call):
    assert call("worker_port_base = 9000", "haproxy", folder="a$b")[0] == 4


def test_an_ipv6_address_is_written_as_one(call):
    code, out, _ = call('worker_port_base = 9000\nbind_host = "::1"', "haproxy")
    assert (code, "[::1]:9001" in out) == (0, True)


@pytest.mark.parametrize("kind", KINDS)
def test_everywhere_is_both_protocols(call, kind):
    code, out, _ = call('worker_port_base = 9000\nhttps_port = 8443\nbind_host = "::"', kind)
    assert (code, "0.0.0.0:8443" in out, "[::]:8443" in out) == (0, True, True)


def test_what_root_starts_gives_way_to_the_account_of_the_home_and_its_primary_group(tmp_path, monkeypatch):
    settings = load_settings(tmp_path / "home", worker_port_base=9000)
    settings.home.mkdir()
    entry = SimpleNamespace(pw_name="rooms", pw_gid=77)
    monkeypatch.setattr(facts.pwd, "getpwuid", lambda _: entry)
    monkeypatch.setattr(facts.pwd, "getpwnam", lambda _: entry)
    monkeypatch.setattr(facts.grp, "getgrgid", lambda gid: SimpleNamespace(gr_name=f"group-{gid}"))
    found = replace(proxy_facts(settings, 1), for_root=True)
    assert "\nuser rooms group-77;\n" in nginx_configuration(found)
    assert "    user rooms\n    group group-77\n" in haproxy_configuration(found)


def test_an_account_without_a_name_is_one_sentence(call, monkeypatch):
    def unknown(_):
        raise KeyError

    monkeypatch.setattr(facts.grp, "getgrgid", unknown)
    code, _, err = call("worker_port_base = 9000", "haproxy")
    assert (code, len(err.splitlines())) == (4, 1)


def test_certificates_that_last_stay_as_they_are(call, tmp_path):
    call("worker_port_base = 9000", "nginx")
    files = tls_files(load_settings(tmp_path / "home"))
    before = [path.read_bytes() for path in (files.authority, files.server, files.proxy, files.worker)]
    call("worker_port_base = 9000", "haproxy")
    assert [path.read_bytes() for path in (files.authority, files.server, files.proxy, files.worker)] == before
