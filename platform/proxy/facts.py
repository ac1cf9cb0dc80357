"""What a proxy's configuration is made of."""

import grp
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
    account: str  # to whom the proxy gives way when root has started it
    group: str  # the account's primary one
    for_root: bool  # whether root starts it
    state_dir: Path  # nobody else can plant a link here for whoever starts it to follow
    upload_limit: int  # bytes
    hsts: str = HSTS

    @property
    def site_port(self) -> str:
        """What stands between host name and path in an address of the portal."""
        return "" if self.https_port == 443 else f":{self.https_port}"

    def address(self, port: int) -> str:
        """Where to connect."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"

    def listeners(self, port: int) -> list[str]:
        """Where to listen. “Everywhere” is two: one for both would report IPv4 callers as ::ffff:192.0.2.1."""
        return [f"0.0.0.0:{port}", f"[::]:{port}"] if self.host == "::" else [self.address(port)]


def proxy_facts(settings: Settings, upload_limit: int) -> Facts:
    """Gather the facts, and make the certificates that the configuration names. `upload_limit` in bytes.

    The configuration is for the account that calls this. Raises `RefusedError` when the web processes have no ports of
    their own, the home cannot stand in a configuration, or its account has no name.
    """
    if not settings.worker_ports:
        raise RefusedError(
            "The web processes share one port, so a proxy cannot choose between them: set worker_port_base = 9000, or "
            f"another free port, in {settings.home / SETTINGS_FILE} and start Strongroom again."
        )
    if _NOT_IN_PATHS & set(str(settings.home)):
        raise RefusedError(f"The path {settings.home} has a character that proxies do not take; use another home.")
    owner = _make_files(settings)
    account, group = _names(owner)
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
        account=account,
        group=group,
        for_root=os.geteuid() == 0,
        state_dir=settings.run_dir if os.geteuid() == owner else Path("/run"),
        upload_limit=upload_limit,
    )


def _make_files(settings: Settings) -> int:
    """Make what is missing, as the account that owns the home and reads it later; return that account's number."""
    owner = settings.home.stat().st_uid
    files = tls_files(settings)
    if os.geteuid() == owner:
        settings.run_dir.mkdir(parents=True, exist_ok=True)
        if not files.server.exists():
            ensure_certificates(settings)
        ensure_proxy_certificates(settings)
    elif not files.proxy.exists():
        raise RefusedError(f"{files.proxy} is not there yet; call this once as the account that owns {settings.home}.")
    return owner


def _names(owner: int) -> tuple[str, str]:
    """The names of an account and its primary group; those of “nobody” for root, who must not serve the public."""
    try:
        entry = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
        return entry.pw_name, grp.getgrgid(entry.pw_gid).gr_name
    except KeyError as error:
        raise RefusedError(
            f"A proxy gives way to an account by name, and {owner or 'nobody'} or its group has none here; add it."
        ) from error
