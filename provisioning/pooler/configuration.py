"""What stands in PgBouncer's configuration files. Pure: text from a few facts.

Written for and tried with 1.18 (Debian 12). What decided it (pgbouncer(5)):

- Session pooling. In transaction pooling a `SET` outlives the client that said it, prepared statements are lost before
  1.21, and the number of clients no longer bounds the number of sessions.
- No version limits the sessions of all databases together. So a session serves one client and ends with it
  (`server_lifetime = 0`), and no more clients get in than the server has connections for tenants. With `reuse` a
  session is kept that many seconds for the same login's next client, after `DISCARD ALL`.
- The logins are a file of SCRAM verifiers: those let PgBouncer pass a login on while a client proves it, and nothing
  else. `auth_query` would ask inside of the tenant's own database, as a role that may enter all of them.
"""

from dataclasses import dataclass
from pathlib import Path

from ...config.errors import RefusedError
from ...platform.keys import DatabaseCredential
from ...platform.servers.records import Server
from ..placements import CONNECTION_LIMIT

_SETTINGS = """\
; Written by `strongroom server pooler`; a change made here is lost with the next call.
[databases]
* = host={server_host} port={server.port}

[pgbouncer]
listen_addr = {listen}
listen_port = {port}
unix_socket_dir = {socket_dir}
auth_type = hba
auth_hba_file = {folder}/rules.conf
auth_file = {folder}/logins.txt
admin_users =
stats_users =
pool_mode = session
server_reset_query = DISCARD ALL
; What Strongroom wants of a session it sets in the session.
ignore_startup_parameters = options
max_client_conn = {clients}
default_pool_size = {pool}
max_db_connections = {pool}
min_pool_size = 0
reserve_pool_size = 0
server_lifetime = {lifetime}
server_idle_timeout = {idle}
autodb_idle_timeout = 600
query_wait_timeout = {wait}
client_login_timeout = 5
server_connect_timeout = 5
server_login_retry = 1
tcp_keepalive = 1
tcp_keepidle = 30
tcp_keepintvl = 5
tcp_keepcnt = 3
tcp_user_timeout = 10000
log_connections = 0
log_disconnections = 0
log_stats = 0
"""
_CLIENT_TLS = """\
client_tls_sslmode = require
client_tls_protocols = tlsv1.3
client_tls_key_file = {folder}/pooler.key
client_tls_cert_file = {folder}/pooler.crt
"""
_SERVER_TLS = """\
server_tls_sslmode = verify-full
server_tls_protocols = tlsv1.3
server_tls_ca_file = {folder}/server.crt
"""
_OVER_TCP = """\
hostssl sameuser all 0.0.0.0/0 scram-sha-256
hostssl sameuser all ::/0 scram-sha-256
"""
_OVER_SOCKET = "local sameuser all scram-sha-256\n"
_NOBODY = """\
local all all reject
host all all 0.0.0.0/0 reject
host all all ::/0 reject
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an operator decides about a pooler; the rest follows from the server."""

    folder: Path
    address: tuple[str, int] | None = None  # what clients connect to, where it is not the server's pooler of now
    listen: str | None = None  # where it listens, if that has another name there
    reuse: int = 0  # seconds that a session waits for the same login's next client
    wait: float = 2.0  # seconds that a client waits for a session


def address(server: Server, plan: Plan) -> tuple[str, int]:
    """Return host and port that clients of the pooler connect to. Raises `RefusedError` when nobody has said."""
    if plan.address:
        return plan.address
    if server.pooler_host and server.pooler_port:
        return server.pooler_host, server.pooler_port
    raise RefusedError(f"“{server.name}” has no pooler yet; say with --address where clients will find it.")


def settings_text(server: Server, plan: Plan) -> str:
    """Return pgbouncer.ini.

    Raises `RefusedError` for a server without a pooler, one that was never asked for its connections, and one that
    could not prove itself to the pooler.
    """
    host, port = address(server, plan)
    limit = server.connection_limit
    if limit is None:
        raise RefusedError(f"Nobody has asked “{server.name}” for its connections yet; run `strongroom server check`.")
    folder = str(plan.folder)
    text = _SETTINGS.format(
        server=server,
        server_host=_quoted(server.host),
        port=port,
        listen="" if on_socket(host) else plan.listen or host,
        socket_dir=host if on_socket(host) else "",
        folder=folder,
        clients=limit,
        pool=min(CONNECTION_LIMIT, limit),
        lifetime=3600 if plan.reuse else 0,
        idle=plan.reuse or 1,
        wait=max(1.0, plan.wait),
    )
    text += "" if on_socket(host) else _CLIENT_TLS.format(folder=folder)
    return text + _server_tls(server, folder)


def rules_text(pooler_host: str) -> str:
    """Return the rules of who may log in: each login into the database of its own name, over TLS, or a socket."""
    return (_OVER_SOCKET if on_socket(pooler_host) else _OVER_TCP) + _NOBODY


def logins_text(credentials: list[DatabaseCredential]) -> str:
    """Return the list of logins: verifiers, which let nobody in by themselves."""
    return "".join(f'"{one.role}" "{one.verifier}"\n' for one in credentials)


def on_socket(host: str) -> bool:
    """Say whether `host` is the folder of a Unix socket."""
    return host.startswith("/")


def _server_tls(server: Server, folder: str) -> str:
    if on_socket(server.host):
        return ""
    if server.tls_authority is None:
        raise RefusedError(
            f"PgBouncer needs the certificate authority of “{server.name}”: without it anybody in between could pass "
            "for the server. Add the server with `sslrootcert` in its --dsn-file."
        )
    return _SERVER_TLS.format(folder=folder)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
