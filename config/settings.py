"""The settings: read in one place, into one frozen object."""

import os
import re
import tomllib
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import CallError, FailedError
from .mail import check_mail
from .pgbackrest import Stanza, read_stanzas
from .stores import StoreSettings, local_store, read_stores

SETTINGS_FILE = "strongroom.toml"
LOG_SPOOL = "log-spool"
TEMPLATE = """\
# Strongroom settings. Every line is optional; what stands here after a `#` is the default.
# bind_host = "127.0.0.1"
# base_domain = "localhost"        # workspaces answer at https://<slug>.<base_domain>:<https_port>
# https_port = 8443
# http_port = 8080                 # redirects to https
# metrics_host = "127.0.0.1"
# metrics_port = 9464              # OpenMetrics at /metrics, never for the public; 0 = none
# worker_port_base = 0             # behind a proxy: web process i listens there + i; see `strongroom proxy config`
# region = "uk"                    # where new workspaces are placed
# backup_root = "../var-backups"   # never inside this home; another disk is better
# backup_interval_hours = 6        # at most 24
# backup_retention_days = 30
# backup_keep_weekly = 0           # beyond the days: the newest verified backup of so many weeks, months, years
# backup_keep_monthly = 0
# backup_keep_yearly = 0
# backup_parallel = 2              # workspaces that one worker backs up at the same time
# point_in_time_days = 7           # any workspace back to any second of the last days; 0 = none
# operator_email = ""              # who is told when backups are late or damaged
# mail_from = ""                   # sender of all mail; "" = no-reply@<base_domain>
# smtp_host = ""                   # "" = mail is written to files in outbox/ of this home; not in production
# smtp_port = 587
# smtp_security = "starttls"       # or "tls" (from the first byte), or "none" (to this machine only)
# smtp_user = ""
# smtp_password_file = ""          # a file of mode 0600 that holds the password
# smtp_authority = ""              # PEM file of who signed the mail server's certificate; "" = those of the system
# web_workers = 2
# web_threads = 4                  # requests that one web process answers at the same time
# connection_budget = 600          # most tenant connections of one process; what the server carries is divided anyhow
# tls_certificate = ""             # your own certificate chain and key, PEM files; "" = made by a local authority
# tls_key = ""
# cdn_port = 0                     # a CDN in front: listener that asks for the CDN's client certificate; 0 = none
# cdn_authority = ""               # PEM file: who signs that client certificate
# cdn_address_header = "CF-Connecting-IP"
# cdn_country_header = "CF-IPCountry"
# rate_limit_storage = ""          # "" = the control database; or redis://… , valkey://…
# rate_limit_password_file = ""    # a file of mode 0600 that holds its password
# payment_secret_file = ""         # file of mode 0600: the payment processor's webhook secret (whsec_…)
# spare_databases = 4              # finished databases that wait on each server for new workspaces; 0 = none
# production = false
# disk_encryption_attested = false # production refuses to start until you attest it

# Where backups are kept; without any such table in `backup_root`. The first is where they are made, the others get
# copies. `docs/operations.md` lists what a store may say.
# [[backup_store]]
# name = "london"
# url = "s3://acme-backups/strongroom"
# region = "uk"
# credentials = "secrets/london.toml"

# Servers whose log pgBackRest archives: any of their workspaces can be had back to any second.
# [[pgbackrest]]
# server = "london-1"
# stanza = "main"
# config = "/etc/pgbackrest/pgbackrest.conf"
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything an operator may set. Times in seconds unless the name says otherwise."""

    home: Path
    bind_host: str = "127.0.0.1"
    base_domain: str = "localhost"
    https_port: int = 8443
    http_port: int = 8080
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9464
    worker_port_base: int = 0
    region: str = "uk"
    backup_root: Path = field(default=Path())
    backup_interval_hours: int = 6
    backup_retention_days: int = 30
    backup_keep_weekly: int = 0
    backup_keep_monthly: int = 0
    backup_keep_yearly: int = 0
    backup_parallel: int = 2
    backup_store: tuple[StoreSettings, ...] = ()
    pgbackrest: tuple[Stanza, ...] = ()
    point_in_time_days: int = 7
    operator_email: str = ""
    mail_from: str = ""
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_security: str = "starttls"
    smtp_user: str = ""
    smtp_password_file: str = ""
    smtp_authority: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    cdn_port: int = 0
    cdn_authority: str = ""
    cdn_address_header: str = "CF-Connecting-IP"
    cdn_country_header: str = "CF-IPCountry"
    rate_limit_storage: str = ""
    rate_limit_password_file: str = ""
    payment_secret_file: str = ""
    web_workers: int = 2
    web_threads: int = 4
    connection_budget: int = 600
    connections_per_tenant: int = 4
    checkout_timeout: float = 2.0
    tenant_cache_seconds: float = 1.0
    bcrypt_cost: int = 12
    receipts_url: str = ""
    postgres_bindir: str = ""
    spare_databases: int = 4
    production: bool = False
    disk_encryption_attested: bool = False

    @property
    def keys_dir(self) -> Path:
        """Key store: mode 0700, apart from every database."""
        return self.home / "keys"

    @property
    def key_copies_dir(self) -> Path:
        """Second copy of the key store, never versioned, on the backup root."""
        return self.backup_root / "keys"

    @property
    def backup_stores(self) -> tuple[StoreSettings, ...]:
        """Where backups are kept; the first is where they are made."""
        return self.backup_store or (local_store(self.backup_root),)

    @property
    def local_store_dir(self) -> Path:
        """Folder of the backups of an installation whose settings name no store."""
        return self.backup_root / "store"

    @property
    def postgres_dir(self) -> Path:
        """Data and socket of the embedded PostgreSQL server."""
        return self.home / "postgres"

    @property
    def log_spool_dir(self) -> Path:
        """Finished pieces of the embedded server's log that wait for the archiver; there once the log is wanted."""
        return self.postgres_dir / LOG_SPOOL

    @property
    def receipts_dir(self) -> Path:
        """Sealed receipts of the local receipt store, one folder per tenant."""
        return self.home / "receipts"

    @property
    def tls_dir(self) -> Path:
        """Local certificate authority and server certificate."""
        return self.home / "tls"

    @property
    def outbox_dir(self) -> Path:
        """Mail that was sent while no SMTP server is configured, one `.eml` file each."""
        return self.home / "outbox"

    @property
    def sender(self) -> str:
        """Address that all mail comes from."""
        return self.mail_from or f"no-reply@{self.base_domain}"

    @property
    def log_dir(self) -> Path:
        """Log files of the embedded server and of the processes that `up` starts."""
        return self.home / "log"

    @property
    def run_dir(self) -> Path:
        """Locks and sockets; nothing here outlives a restart."""
        return self.home / "run"

    @property
    def own_certificate(self) -> tuple[Path, Path] | None:
        """The operator's files, certificate chain and key; none where a local authority issues."""
        return (self.home / self.tls_certificate, self.home / self.tls_key) if self.tls_certificate else None

    @property
    def cdn_authority_file(self) -> Path:
        """Who signs the client certificate of the CDN."""
        return self.home / self.cdn_authority

    @property
    def worker_ports(self) -> tuple[int, ...]:
        """Ports of the web processes behind a proxy, one each; none where they share `https_port`."""
        base = self.worker_port_base
        return tuple(range(base, base + self.web_workers)) if base else ()

    @property
    def backup_interval(self) -> timedelta:
        """Time between two backups of a tenant."""
        return timedelta(hours=self.backup_interval_hours)

    def workspace_url(self, slug: str) -> str:
        """Public address of a workspace, without a trailing slash."""
        return self.site_url(f"{slug}.{self.base_domain}")

    def site_url(self, host: str | None = None) -> str:
        """Public address of `host` (the base domain when not given), without a trailing slash."""
        port = "" if self.https_port == 443 else f":{self.https_port}"
        return f"https://{host or self.base_domain}{port}"


def default_home() -> Path:
    """Return the home of a command that names none: `$STRONGROOM_HOME`, else `./var`."""
    return _absolute(Path(os.environ.get("STRONGROOM_HOME") or "var"))


def load_settings(home: Path | None = None, **overrides: Any) -> Settings:
    """Read `strongroom.toml` of `home` (default: `default_home()`) and check every value.

    `overrides` replace what the file says; a value of `None` leaves it. Raises `CallError` that names the wrong line,
    `FailedError` when the file cannot be read.
    """
    home = default_home() if home is None else _absolute(home)
    values = _read(home / SETTINGS_FILE) | {k: v for k, v in overrides.items() if v is not None}
    if "backup_store" in values:
        values["backup_store"] = read_stores(home, values["backup_store"])
    if "pgbackrest" in values:
        values["pgbackrest"] = read_stanzas(home, values["pgbackrest"])
    checked = {name: _checked(name, value) for name, value in values.items()}
    root = Path(checked.pop("backup_root", home.with_name(home.name + "-backups"))).expanduser()
    settings = Settings(home=home, backup_root=Path(os.path.abspath(home / root)), **checked)
    _check_together(settings)
    return settings


def write_default_settings(home: Path) -> None:
    """Put a commented settings file into `home` if it has none."""
    path = home / SETTINGS_FILE
    if not path.exists():
        path.write_text(TEMPLATE, encoding="utf-8")


def names_stores(home: Path) -> bool:
    """Say whether the settings file of `home` says where backups are kept."""
    return not {"backup_root", "backup_store"}.isdisjoint(_read(home / SETTINGS_FILE))


def _absolute(home: Path) -> Path:
    return home.expanduser().absolute()


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CallError(f"{path} is not valid TOML: {error}.") from error
    except OSError as error:
        raise FailedError(f"{path} cannot be read: {error.strerror}.") from error


_DEFAULTS: dict[str, object] = {f.name: f.default for f in fields(Settings) if f.name != "home"}


def _checked(name: str, value: object) -> Any:
    if name not in _DEFAULTS:
        raise CallError(f"There is no setting “{name}”; the settings are: {', '.join(sorted(_DEFAULTS))}.")
    expected: type[object] = str if name == "backup_root" else type(_DEFAULTS[name])
    if name == "backup_root" and isinstance(value, Path):
        return value
    if expected is float and type(value) is int:
        return float(value)
    if type(value) is not expected:
        raise CallError(f"The setting “{name}” must be a {_WORDS[expected]}, not {value!r}.")
    return value


_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}", re.ASCII)
_WORDS: dict[type, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    tuple: "list of tables",
}
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


def _check_together(settings: Settings) -> None:
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


_STORAGES = ("redis", "rediss", "redis+unix", "valkey", "valkeys", "valkey+unix")


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


def _check_edge(settings: Settings) -> None:
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise CallError("tls_certificate and tls_key go together: set both, or neither.")
    if bool(settings.cdn_port) != bool(settings.cdn_authority):
        raise CallError("cdn_port and cdn_authority go together: without the authority nobody proves to be the CDN.")
    for name in ("cdn_address_header", "cdn_country_header"):
        if not _HEADER_NAME.fullmatch(getattr(settings, name)):
            raise CallError(f"The setting “{name}” must be the name of a header: letters, digits and hyphens.")
    if settings.cdn_address_header.lower() == settings.cdn_country_header.lower():
        raise CallError("cdn_address_header and cdn_country_header must differ.")


def _check_ports(settings: Settings) -> None:
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
