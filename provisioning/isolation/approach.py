"""How a tenant's login comes to a server: directly, never through a pooler, and over TLS where there is a network."""

from typing import Any

from ...platform.control.platform import Platform
from ...platform.registry.address import tls_parameters
from ...platform.servers.records import Server


def login_parameters(platform: Platform, server: Server, pid: str, database: str) -> dict[str, Any]:
    """Return libpq's parameters for the login of the placement `pid` at any database. Raises `KeyMissingError`."""
    return {
        **server.conninfo_params(database),
        **tls_parameters(server, server.host, platform.settings),
        **platform.keys.placement(pid).conninfo_params(),
        "connect_timeout": 10,
        "gssencmode": "disable",
    }
