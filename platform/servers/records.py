"""What the control plane knows about a PostgreSQL server."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL server; `host` is a folder (Unix socket) or a host name. Logins are in the key store."""

    name: str
    region: str
    kind: str
    host: str
    port: int
    accepts_tenants: bool
    created_at: datetime
    connection_limit: int | None = None  # of tenants, all processes together; None until the server was asked
    rules_are_ours: bool = True  # whether its pg_hba.conf closes tenants in, or the access lists alone do
    tls_authority: str | None = None  # PEM
    pooler_host: str | None = None  # PgBouncer in front, for tenants' connections only
    pooler_port: int | None = None
    pooler_authority: str | None = None  # PEM: the certificates that it may prove itself by

    def conninfo_params(self, dbname: str) -> dict[str, str]:
        """Return where `dbname` is, for `psycopg.connect` beside a credential's parameters."""
        return {"host": self.host, "port": str(self.port), "dbname": dbname}
