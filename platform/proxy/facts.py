"""What a proxy's configuration is made of."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from ...config.errors import RefusedError
from ...config.settings import SETTINGS_FILE, Settings
from ..web.security import HSTS
from ..web.tls import ensure_certificates, ensure_proxy_certificates, tls_files

# In a path they would end a quoted word of the configuration, or be taken for a variable.
_NOT_IN_PATHS = frozenset("\"'\\$#{};\n\r%")


@dataclass(frozen=True, slots=True)
class Facts:
    """Where the proxy listens, whom it talks to, and with which files."""

    host: str
    https_port: int
    http_port: int
    workers: tuple[int, ...]  # ports
    base_domain: str
    authority: Path
    server: Path  # certificate and key that browsers see
    client: Path  # certificate and key that the web processes ask the proxy for
    run_dir: Path
    log_dir: Path
    user: str | None  # to whom the proxy gives way when root has started it; None: to whom it likes
    upload_limit: int  # bytes
    hsts: str = HSTS

    @property
    def site_port(self) -> str:
        """What stands between host name and path in an address of the portal."""
        return "" if self.https_port == 443 else f":{self.https_port}"

    def address(self, port: int) -> str:
        """Where to listen or to connect."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"


def proxy_facts(settings: Settings, upload_limit: int) -> Facts:
    """Gather the facts, and make the certificates that the configuration names. `upload_limit` in bytes.

    Raises `RefusedError` when the web processes have no ports of their own, or the home cannot stand in a
    configuration.
    """
    if not settings.worker_ports:
        raise RefusedError(
            "The web processes share one port, so a proxy cannot choose between them: set worker_port_base = 9000, or "
            f"another free port, in {settings.home / SETTINGS_FILE} and start Strongroom again."
        )
    if _NOT_IN_PATHS & set(str(settings.home)):
        raise RefusedError(f"The path {settings.home} has a character that proxies do not take; use another home.")
    owner = _make_files(settings)
    files = tls_files(settings)
    return Facts(
        host=settings.bind_host,
        https_port=settings.https_port,
        http_port=settings.http_port,
        workers=settings.worker_ports,
        base_domain=settings.base_domain,
        authority=files.authority,
        server=files.server,
        client=files.proxy,
        run_dir=settings.run_dir,
        log_dir=settings.log_dir,
        user=None if owner == 0 else pwd.getpwuid(owner).pw_name,
        upload_limit=upload_limit,
    )


def _make_files(settings: Settings) -> int:
    """Make what is missing, as the account that owns the home and reads it later; return that account's number."""
    owner = settings.home.stat().st_uid
    files = tls_files(settings)
    if os.geteuid() == owner:
        for folder in (settings.run_dir, settings.log_dir):
            folder.mkdir(parents=True, exist_ok=True)
        if not files.server.exists():
            ensure_certificates(settings)
        ensure_proxy_certificates(settings)
    elif not files.proxy.exists():
        raise RefusedError(f"{files.proxy} is not there yet; call this once as the account that owns {settings.home}.")
    return owner
