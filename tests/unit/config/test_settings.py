"""Settings come from one file, are checked whole, and say what is wrong in one sentence."""

from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.config.errors import CallError
from strongroom.config.settings import load_settings
from strongroom.config.template import write_default_settings


def settings_of(home: Path, text: str) -> object:
    (home / "strongroom.toml").write_text(text, encoding="utf-8")
    return load_settings(home)


def test_a_home_without_a_file_gets_the_defaults(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "var")
    assert (settings.https_port, settings.backup_interval) == (8443, timedelta(hours=6))
    assert settings.backup_root == tmp_path / "var-backups"


def test_the_written_template_is_valid_and_changes_nothing(tmp_path: Path) -> None:
    before = load_settings(tmp_path)
    write_default_settings(tmp_path)
    assert load_settings(tmp_path) == before


def test_every_line_of_the_template_names_a_setting(tmp_path: Path) -> None:
    write_default_settings(tmp_path)
    path = tmp_path / "strongroom.toml"
    lines = [line[2:] for line in path.read_text().splitlines() if " = " in line or line.startswith("# [[")]
    path.write_text("\n".join(lines))
    load_settings(tmp_path)
    assert len(lines) > 10


def test_what_the_call_says_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "strongroom.toml").write_text("https_port = 9000")
    assert load_settings(tmp_path, https_port=9443, http_port=None).https_port == 9443


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("https_prot = 1", "There is no setting “https_prot”"),
        ('https_port = "8443"', "must be a whole number"),
        ("https_port = true", "must be a whole number"),
        ("https_port = 70000", "between 1 and 65535"),
        ("https_port = 8080", "must differ"),
        ("metrics_port = 8443", "metrics_port must differ"),
        ("metrics_port = -1", "between 0 and 65535"),
        ("worker_port_base = 8079", "8079 to 8080, of which 8080"),
        ("worker_port_base = 65535", "between 0 and 65472"),
        ("cdn_port = 9444", "cdn_port and cdn_authority go together"),
        ('cdn_authority = "zone.pem"', "cdn_port and cdn_authority go together"),
        ('cdn_port = 8443\ncdn_authority = "zone.pem"', "cdn_port must differ"),
        ('cdn_port = 9001\ncdn_authority = "zone.pem"\nworker_port_base = 9000', "9000 to 9001, of which 9001"),
        ('cdn_address_header = "X Forwarded"', "must be the name of a header"),
        ('cdn_address_header = "X_Forwarded"', "must be the name of a header"),
        ('cdn_address_header = "cf-ipcountry"', "must differ"),
        ('tls_certificate = "own.pem"', "tls_certificate and tls_key go together"),
        ('tls_key = "own.pem"', "tls_certificate and tls_key go together"),
        ("backup_interval_hours = 25", "between 1 and 24"),
        ('backup_root = "inside"', "must not contain each other"),
        ('backup_root = ".."', "must not contain each other"),
        ("production = true", "encrypted disks"),
        ("production = true\ndisk_encryption_attested = true\nbcrypt_cost = 4", "at least 12"),
        ("tenant_cache_seconds = -1", "between 0 and 60"),
        ("tenant_cache_seconds = nan", "between 0 and 60"),
        ("tenant_cache_seconds = inf", "between 0 and 60"),
        ("checkout_timeout = 0", "between 0.1 and 60"),
        ("checkout_timeout = nan", "between 0.1 and 60"),
        ("checkout_timeout = 1e400", "between 0.1 and 60"),
        ("= what", "not valid TOML"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(CallError, match=sentence):
        settings_of(tmp_path, text)


def test_backups_may_stand_on_another_disk(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "var", backup_root=tmp_path / "disk2").backup_root == tmp_path / "disk2"


def test_behind_a_proxy_each_web_process_has_a_port_of_its_own(tmp_path: Path) -> None:
    assert load_settings(tmp_path).worker_ports == ()
    assert load_settings(tmp_path, worker_port_base=9000, web_workers=3).worker_ports == (9000, 9001, 9002)


def test_a_process_without_metrics_needs_no_port_for_them(tmp_path: Path) -> None:
    assert load_settings(tmp_path, metrics_port=0).metrics_port == 0
