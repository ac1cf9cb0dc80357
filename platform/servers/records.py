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

    def conninfo_params(self, dbname: str) -> dict[str, str]:
        """Return where `dbname` is, for `psycopg.connect` beside a credential's parameters."""
        return {"host": self.host, "port": str(self.port), "dbname": dbname}
