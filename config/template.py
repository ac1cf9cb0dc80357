"""The settings file that a new home gets."""

from pathlib import Path

from .settings import SETTINGS_FILE

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


def write_default_settings(home: Path) -> None:
    """Put a commented settings file into `home` if it has none."""
    path = home / SETTINGS_FILE
    if not path.exists():
        path.write_text(TEMPLATE, encoding="utf-8")
