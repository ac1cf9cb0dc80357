"""Nothing secret reaches a log line."""

import io
import logging
import re
import sys
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.config.logging import REDACTED, RedactingFormatter, configure_logging, redact

CANARY = "hunter2-Canary/9"
TOKEN = "q" * 43


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    level, stream = root.level, io.StringIO()
    configure_logging(stream=stream)
    yield stream
    for handler in [h for h in root.handlers if isinstance(h.formatter, RedactingFormatter)]:
        root.removeHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.mark.parametrize(
    "line",
    [
        f"password={CANARY}",
        f"password = '{CANARY} with words {CANARY}'",
        f"PASSWORD: {CANARY}",
        f"new-password: {CANARY}",
        f"{{'password': '{CANARY}', 'email': 'a@b'}}",
        f'{{"current_password":"{CANARY}\\" {CANARY}"}}',
        f"pepper=b'{CANARY}'",
        f"Credential(scram_client_key='{CANARY}', scram_server_key='{CANARY}')",
        f"data_key={CANARY} blind_key={CANARY}",
        f"GET /accept?token={CANARY}&next=/",
        f"csrf_token={CANARY}",
        f"Authorization: Bearer {CANARY}",
        f"authorization='Basic {CANARY}'",
        f"Cookie: __Host-session={CANARY}; theme={CANARY}",
        f"Set-Cookie: __Host-session={CANARY}; Secure",
        f"postgresql://t_abc:{CANARY}@/t_abc?host=/run",
        f"postgresql+psycopg://:{CANARY}@localhost",
        f"recovery_codes={CANARY}",
        f"-----BEGIN EC PRIVATE KEY-----\n{CANARY}\n-----END EC PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}",
        f"DETAIL:  Failing row contains (1, {CANARY}, (x), null).",
        f"DETAIL:  Key (email_index)=({CANARY}) already exists.",
        f"[SQL: INSERT INTO x VALUES (%s)]\n[parameters: {{'name': '{CANARY}'}}]",
    ],
)
def test_the_secret_value_is_gone(line: str) -> None:
    shown = redact(line)
    assert CANARY not in shown
    assert REDACTED in shown


@pytest.mark.parametrize(
    "secret",
    [
        "AGE-SECRET-KEY-1QQPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQ",
        "strongroom-master-key-1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy",
        "sr1$2b$12$" + "x" * 53,
        f"https://hill.localhost:8443/invitation/{TOKEN}",
        "srt_" + "7xKq" * 10 + "abc_4Zx9Qw",
        "whsec_" + "c2VjcmV0" * 4,
    ],
)
def test_secrets_are_known_by_their_own_form(secret: str) -> None:
    shown = redact(f"before {secret} after")
    assert shown.startswith("before ")
    assert shown.endswith("after")
    assert secret.rpartition("/")[2] not in shown


@pytest.mark.parametrize(
    "line",
    [
        "workspace hill backed up in 1.2 s",
        "postgresql://t_abc@/t_abc",
        "data_key_id=k1",
        "object store/ab/" + "0f" * 32,
        "https://hill.localhost:8443/expenses",
        "the password was changed",
    ],
)
def test_ordinary_lines_stay_as_they_are(line: str) -> None:
    assert redact(line) == line


@given(st.text(sorted({chr(code) for code in range(0x21, 0x7F)} - set("&;,)]}\"'\\")), min_size=8, max_size=40))
def test_any_single_word_password_in_a_key_value_pair_is_gone(password: str) -> None:
    assert redact(f"password={password} user=x") == f"password={REDACTED} user=x"


def test_arguments_and_tracebacks_are_redacted(log: io.StringIO) -> None:
    try:
        raise ValueError(f"password={CANARY}")
    except ValueError:
        logging.getLogger("strongroom.test").exception("dsn %s", f"postgresql://u:{CANARY}@h/db")
    assert CANARY not in log.getvalue()
    assert "ValueError" in log.getvalue()


def test_input_cannot_forge_a_second_line(log: io.StringIO) -> None:
    logging.getLogger("strongroom.test").warning("slug %s", "x\n2026-01-01T00:00:00+00:00 INFO audit: all well")
    assert log.getvalue().count("\n") == 1


def test_time_carries_an_offset(log: io.StringIO) -> None:
    logging.getLogger("strongroom.test").info("hello")
    assert re.match(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d INFO strongroom\.test: hello\n", log.getvalue()
    )


def test_library_warnings_become_log_lines(log: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"token={CANARY}", stacklevel=1)
    assert "py.warnings" in log.getvalue()
    assert CANARY not in log.getvalue()


def test_debug_lines_need_verbose(log: io.StringIO) -> None:
    logging.getLogger("strongroom.test").debug("detail one")
    configure_logging(verbose=True, stream=log)
    logging.getLogger("strongroom.test").debug("detail two")
    assert "detail one" not in log.getvalue()
    assert log.getvalue().count("detail two") == 1


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str], log: io.StringIO) -> None:
    configure_logging(stream=sys.stderr)
    logging.getLogger("strongroom.test").info("hello")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "hello" in captured.err
    assert log.getvalue() == ""
