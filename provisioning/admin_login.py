"""The login of a server's superuser, read from a file for one set-up and kept nowhere."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from cryptography import x509
from psycopg.conninfo import conninfo_to_dict

from ..config.errors import CallError, FailedError, RefusedError
from .names import MAINTENANCE

_CONNECT_SECONDS = 10
_NOT_TAKEN = ("service", "hostaddr", "passfile", "options")  # each would make the platform go elsewhere than the set-up
# What is set up contains the logins' verifiers: it must not come to stand in the server's log.
_QUIET = """
    SELECT set_config('log_statement', 'none', false), set_config('log_min_duration_statement', '-1', false),
           set_config('log_min_error_statement', 'panic', false)
    FROM pg_roles WHERE rolname = current_user AND rolsuper
"""


@dataclass(frozen=True, slots=True)
class AdminLogin:
    """Where a server is, how it proves itself, and how its superuser logs in (`parameters`, secret)."""

    host: str
    port: int
    authority: str | None  # PEM
    parameters: dict[str, Any] = field(repr=False)

    def connect(self, dbname: str = MAINTENANCE, /) -> psycopg.Connection[Any]:
        """Open a session in autocommit mode. Raises `RefusedError` without TLS, `FailedError` for any other reason."""
        parameters: dict[str, Any] = self.parameters | {"dbname": dbname, "autocommit": True}
        try:
            session = psycopg.connect(**parameters)
        except psycopg.OperationalError as error:
            if "server does not support SSL" in str(error):
                raise RefusedError(
                    f"{self.host}:{self.port} speaks no TLS; set ssl = on with a certificate there, then repeat."
                ) from None
            raise FailedError(f"{self.host}:{self.port} does not let the login in: {_reason(error)}.") from None
        session.execute(_QUIET)
        return session


def read_admin_login(file: Path) -> AdminLogin:
    """Read a libpq connection string from a file that only its owner can read.

    Raises `CallError` when the file is open to others, no connection string, or not one that the platform can follow;
    never with anything of its content.
    """
    values = _parse(file, _read_private(file))
    host, port = str(values.get("host") or ""), str(values.get("port") or "5432")
    if not host or "," in host or not port.isdecimal():
        raise CallError(f"{file} must name one host and at most one port.", field="dsn-file")
    not_taken = [name for name in _NOT_TAKEN if name in values]
    if not_taken:
        raise CallError(f"{file} must not contain {', '.join(not_taken)}.", field="dsn-file")
    if "user" not in values:
        raise CallError(f"{file} must name the superuser: user=…", field="dsn-file")
    local = host.startswith("/")
    if not local and "password" not in values and "sslcert" not in values:
        raise CallError(f"{file} must contain the superuser's password: nothing else is asked for it.", "dsn-file")
    authority = None if local else _authority(file, values)
    return AdminLogin(host, int(port), authority, values | _fixed(local=local, verified=authority is not None))


def _fixed(*, local: bool, verified: bool) -> dict[str, Any]:
    mode = "disable" if local else "verify-full" if verified else "require"
    return {
        "sslmode": mode,
        "connect_timeout": _CONNECT_SECONDS,
        "gssencmode": "disable",
        "application_name": "strongroom set-up",
        "options": "-c search_path=pg_catalog",
    }


def _read_private(file: Path) -> str:
    if "=" in str(file) or ":/" in str(file):
        raise CallError(
            "Give a file: a connection string on the command line can be read by everybody on this machine."
        )
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise CallError(f"The file with the connection string cannot be read: {error.strerror}.", "dsn-file") from None
    with open(descriptor, encoding="utf-8", errors="replace") as opened:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise CallError(f"{file} is no file.", field="dsn-file")
        if status.st_mode & 0o077:
            raise CallError(f"{file} can be read by others; run: chmod 600 {file}", field="dsn-file")
        return opened.read(1 << 16)


def _parse(file: Path, text: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(" ".join(text.split("\n")).strip())
    except psycopg.Error:  # its message may quote the password
        raise CallError(f"{file} holds no connection string: host=… user=… password=…", field="dsn-file") from None


def _authority(file: Path, values: dict[str, Any]) -> str | None:
    """Return the PEM text that `sslrootcert` names. Raises `CallError` unless there are certificates in it."""
    name = values.get("sslrootcert")
    if not name:
        return None
    try:
        text = Path(str(name)).expanduser().read_text(encoding="ascii")
        x509.load_pem_x509_certificates(text.encode())
    except (OSError, ValueError):
        raise CallError(
            f"sslrootcert in {file} must name a file with the certificate authority in PEM.", field="dsn-file"
        ) from None
    return text


def _reason(error: psycopg.OperationalError) -> str:
    """Return the server's own words, without where we have just said that they come from."""
    lines = str(error).strip().splitlines() or ["no reason given"]
    return lines[0].rpartition("failed: ")[2].removeprefix("FATAL:").strip().rstrip(".")
