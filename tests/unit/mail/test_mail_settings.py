"""The settings about mail are checked together, and each mistake is named in one sentence."""

from pathlib import Path
from typing import Any

import pytest

from strongroom.config.errors import CallError
from strongroom.config.settings import load_settings

SERVER = {"smtp_host": "smtp.example.com"}
PRODUCTION = {"production": True, "disk_encryption_attested": True}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (SERVER | {"smtp_security": "ssl"}, "smtp_security must be one of starttls, tls, none"),
        (SERVER | {"smtp_security": "none"}, "on this machine"),
        (SERVER | {"smtp_user": "u"}, "belong together"),
        (SERVER | {"smtp_password_file": "secret"}, "belong together"),
        ({"smtp_host": "smtp.example.com:587"}, "host name alone"),
        ({"smtp_host": "smtps://smtp.example.com"}, "host name alone"),
        ({"smtp_authority": "ca.pem"}, "need smtp_host"),
        (PRODUCTION, "Production needs a mail server: set smtp_host"),
        ({"mail_from": "Strongroom <a@example.com>"}, "one e-mail address"),
        ({"mail_from": "a@example.com\r\nBcc: b@example.com"}, "one e-mail address"),
        ({"operator_email": "a@x.example, b@x.example"}, "one e-mail address"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CallError, match=sentence):
        load_settings(tmp_path / "home", **values)


@pytest.mark.parametrize(
    "values",
    [
        SERVER,
        SERVER | {"smtp_security": "tls", "smtp_user": "u", "smtp_password_file": "secret"},
        {"smtp_host": "localhost", "smtp_security": "none"},
        {"smtp_host": "::1", "smtp_security": "none"},
        {"smtp_host": "127.0.0.53", "smtp_security": "none"},
        {"mail_from": "no-reply@example.com"},
        PRODUCTION | SERVER,
    ],
)
def test_what_is_right_is_taken(tmp_path: Path, values: dict[str, Any]) -> None:
    load_settings(tmp_path / "home", **values)
