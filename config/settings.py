"""The settings: read in one place, into one frozen object."""

import os
import tomllib
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from .checks import check_together
from .errors import CallError, FailedError
from .pgbackrest import Stanza, read_stanzas
from .stores import StoreSettings, local_store, read_stores

SETTINGS_FILE = "strongroom.toml"
LOG_SPOOL = "log-spool"


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
    check_together(settings)
    return settings


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


_WORDS: dict[type, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    tuple: "list of tables",
}
