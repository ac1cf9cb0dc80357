"""A database login without a password: the SCRAM-SHA-256 keys that stand for one.

libpq ≥ 18 takes `scram_client_key` and `scram_server_key` instead of a password and skips the 4,096 iterations. The
keys are as good as the password for that role, so the key store keeps them wrapped. Formulas: RFC 5802 section 3.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...config.errors import FailedError

ITERATIONS = 4096
SERVICE = "strongroom"


@dataclass(frozen=True, slots=True)
class DatabaseCredential:
    """What a process needs to log in as `role`, and what the server keeps about it (`verifier`)."""

    role: str
    scram_client_key: str = field(repr=False)
    scram_server_key: str = field(repr=False)
    verifier: str = field(repr=False)

    @classmethod
    def generate(cls, role: str) -> "DatabaseCredential":
        """Make a credential from a random password that nobody ever sees."""
        salt = os.urandom(16)
        salted = hashlib.pbkdf2_hmac("sha256", os.urandom(32).hex().encode(), salt, ITERATIONS)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        stored_key = hashlib.sha256(client_key).digest()
        verifier = f"SCRAM-SHA-256${ITERATIONS}:{_base64(salt)}${_base64(stored_key)}:{_base64(server_key)}"
        return cls(role, _base64(client_key), _base64(server_key), verifier)

    def conninfo_params(self) -> dict[str, str]:
        """Return the parameters for `psycopg.connect`; host, port and dbname are the caller's."""
        return {
            "user": self.role,
            "scram_client_key": self.scram_client_key,
            "scram_server_key": self.scram_server_key,
        }

    def write_service_file(self, path: Path, host: str, port: int, dbname: str) -> str:
        """Write a PGSERVICEFILE for this login; see `write_service_file`."""
        return write_service_file(path, {"host": host, "port": str(port), "dbname": dbname, **self.conninfo_params()})


def write_service_file(path: Path, parameters: Mapping[str, str]) -> str:
    """Write a PGSERVICEFILE, mode 0600, for `pg_dump` and friends; return the connection string that uses it.

    The caller removes the file. Raises `FailedError` when `path` exists or cannot be written.
    """
    if any("\n" in value for value in parameters.values()):
        raise FailedError(f"{path} cannot be written: a connection parameter contains a line break.")
    lines = [f"[{SERVICE}]", *(f"{name}={value}" for name, value in parameters.items())]
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except OSError as error:
        raise FailedError(f"{path} cannot be written: {error.strerror}.") from error
    return f"service={SERVICE}"


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
