"""How a tenant's login comes to a server: directly, never through a pooler, and over TLS where there is a network."""

from typing import Any

import psycopg

from ...platform.control.platform import Platform
from ...platform.keys import DatabaseCredential
from ...platform.registry.address import tls_parameters
from ...platform.servers.records import Server
from ..names import Names


def login_parameters(platform: Platform, server: Server, names: Names) -> dict[str, Any]:
    """Return libpq's parameters for the login of a placement in its own database, proved by logging in.

    Raises `KeyMissingError`, and `psycopg.OperationalError` when the server accepts none.
    """
    refused = psycopg.OperationalError("there is no login to try")
    for login in platform.keys.possible_logins(names.pid):
        parameters = _parameters(platform, server, names, login)
        try:
            psycopg.connect(**parameters).close()
        except psycopg.OperationalError as error:
            refused = error
        else:
            return parameters
    raise refused


def _parameters(platform: Platform, server: Server, names: Names, login: DatabaseCredential) -> dict[str, Any]:
    return {
        **server.conninfo_params(names.database),
        **tls_parameters(server, server.host, platform.settings),
        **login.conninfo_params(),
        "connect_timeout": 10,
        "gssencmode": "disable",
    }
