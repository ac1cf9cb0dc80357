"""What the settings must say together, and within which bounds."""

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .errors import CallError
from .mail import check_mail

if TYPE_CHECKING:
    from .settings import Settings

_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}", re.ASCII)
_RANGES = {
    "https_port": (1, 65535),
    "http_port": (1, 65535),
    "metrics_port": (0, 65535),
    "smtp_port": (1, 65535),
    "cdn_port": (0, 65535),
    "worker_port_base": (0, 65472),  # 64 web processes fit above
    "backup_interval_hours": (1, 24),
    "backup_retention_days": (1, 3650),
    "backup_keep_weekly": (0, 520),
    "backup_keep_monthly": (0, 120),
    "backup_keep_yearly": (0, 100),
    "backup_parallel": (1, 32),
    "point_in_time_days": (0, 35),
    "web_workers": (1, 64),
    "web_threads": (1, 256),
    "connection_budget": (1, 5000),
    "connections_per_tenant": (1, 64),
    "checkout_timeout": (0.1, 60),  # below, no login would be in time; above, a proxy has long given up
    "tenant_cache_seconds": (0, 60),
    "bcrypt_cost": (4, 16),
    "spare_databases": (0, 1000),
}
_STORAGES = ("redis", "rediss", "redis+unix", "valkey", "valkeys", "valkey+unix")


def check_together(settings: "Settings") -> None:
    """Raise `CallError` for the first setting that is out of bounds, or does not go with the others."""
    for name, (low, high) in _RANGES.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            raise CallError(f"The setting “{name}” must lie between {low} and {high}, not {value}.")
    _check_ports(settings)
    _check_rate_limit_storage(settings.rate_limit_storage)
    _check_edge(settings)
    if settings.backup_root.is_relative_to(settings.home) or settings.home.is_relative_to(settings.backup_root):
        raise CallError(f"backup_root ({settings.backup_root}) and home ({settings.home}) must not contain each other.")
    if settings.production and settings.bcrypt_cost < 12:
        raise CallError("bcrypt_cost must be at least 12 in production.")
    if settings.production and not settings.disk_encryption_attested:
        raise CallError("Production needs encrypted disks: set disk_encryption_attested = true once they are.")
    check_mail(settings)


def _check_rate_limit_storage(address: str) -> None:
    if not address:
        return
    try:
        parts = urlsplit(address)
        known, password = parts.scheme in _STORAGES, parts.password
    except ValueError:
        known, password = False, None
    if password:
        raise CallError("rate_limit_storage must not hold the password; put it into a file, rate_limit_password_file.")
    if not known:
        raise CallError("rate_limit_storage must begin with redis://, rediss://, valkey:// or valkeys://, or be empty.")


def _check_edge(settings: "Settings") -> None:
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise CallError("tls_certificate and tls_key go together: set both, or neither.")
    if bool(settings.cdn_port) != bool(settings.cdn_authority):
        raise CallError("cdn_port and cdn_authority go together: without the authority nobody proves to be the CDN.")
    for name in ("cdn_address_header", "cdn_country_header"):
        if not _HEADER_NAME.fullmatch(getattr(settings, name)):
            raise CallError(f"The setting “{name}” must be the name of a header: letters, digits and hyphens.")
    if settings.cdn_address_header.lower() == settings.cdn_country_header.lower():
        raise CallError("cdn_address_header and cdn_country_header must differ.")


def _check_ports(settings: "Settings") -> None:
    if settings.https_port == settings.http_port:
        raise CallError("https_port and http_port must differ.")
    if settings.metrics_port in {settings.https_port, settings.http_port}:
        raise CallError("metrics_port must differ from https_port and http_port.")
    others = {settings.https_port, settings.http_port, settings.metrics_port}
    if settings.cdn_port and settings.cdn_port in others:
        raise CallError("cdn_port must differ from https_port, http_port and metrics_port.")
    ports = settings.worker_ports
    if taken := (others | {settings.cdn_port}) & set(ports):
        raise CallError(f"worker_port_base takes the ports {ports[0]} to {ports[-1]}, of which {min(taken)} is in use.")
