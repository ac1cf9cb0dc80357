"""How a tenant's connection reaches a server: which host, through a pooler or not, and how TLS is proved."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...config.errors import FailedError
from ...config.settings import Settings
from ..servers.records import Server

# A network that falls silent must not hold a thread for minutes: the kernel gives up on unanswered data after ten
# seconds, and asks about an idle session after half a minute (libpq documentation, “Parameter Key Words”).
_SILENCE: dict[str, Any] = {
    "tcp_user_timeout": 10_000,  # milliseconds
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


@dataclass(frozen=True, slots=True)
class TenantAddress:
    """Where a tenant's connection goes: libpq's parameters without database and credential."""

    parameters: dict[str, Any]
    pooled: bool  # PgBouncer answers there, not PostgreSQL itself


def tenant_address(server: Server, settings: Settings, *, direct: bool = False) -> TenantAddress:
    """Return how tenants of `server` connect: to its pooler where it has one, unless `direct`.

    Raises `FailedError` when the certificate authority's file cannot be written, or the pooler has no certificate yet.
    """
    if server.pooler_host is None or direct:
        return TenantAddress(_reach(server.host, server.port, tls_parameters(server, server.host, settings)), False)
    host = server.pooler_host
    return TenantAddress(_reach(host, server.pooler_port or server.port, _pooler_tls(server, host, settings)), True)


def _reach(host: str, port: int, tls: dict[str, Any]) -> dict[str, Any]:
    return {"host": host, "port": port, **tls, **({} if host.startswith("/") else _SILENCE)}


def _pooler_tls(server: Server, host: str, settings: Settings) -> dict[str, Any]:
    """Return libpq's TLS parameters for the pooler, which has to prove its name: it cannot bind SCRAM to the channel.

    (PgBouncer knows no SCRAM-SHA-256-PLUS, so somebody in between could pass an unproved login on.)
    """
    if host.startswith("/"):
        return {"sslmode": "disable"}
    if server.pooler_authority is None:
        raise FailedError(f"The pooler of “{server.name}” has no certificate; run `strongroom server pooler config`.")
    file = _authority_file(f"{server.name}-pooler", server.pooler_authority, settings)
    return {"sslmode": "verify-full", "sslrootcert": str(file), "ssl_min_protocol_version": "TLSv1.3"}


def tls_parameters(server: Server, host: str, settings: Settings) -> dict[str, Any]:
    """Return libpq's TLS parameters for `host`, which is the server itself or what stands in front of it.

    With an authority the server must prove its name; without one the traffic is encrypted and the server proves itself
    by SCRAM only. A Unix socket (a folder) needs neither. Raises `FailedError` when the file cannot be written.
    """
    if host.startswith("/"):
        return {"sslmode": "disable"}
    if server.tls_authority is None:
        return {"sslmode": "require"}
    return {"sslmode": "verify-full", "sslrootcert": str(_authority_file(server.name, server.tls_authority, settings))}


def _authority_file(name: str, authority: str, settings: Settings) -> Path:
    """Return the file with the PEM text, which libpq wants as a file; readers see the old or the new, never half."""
    path = settings.run_dir / "servers" / f"{name}.crt"
    try:
        if path.exists() and path.read_text(encoding="utf-8") == authority:
            return path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f"{name}.")  # mode 0600
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(authority)
        Path(draft).replace(path)
    except OSError as error:
        raise FailedError(f"{path} cannot be written: {error.strerror}.") from error
    return path
