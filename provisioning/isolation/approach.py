"""How a tenant's login comes to a server: directly, never through a pooler, and over TLS where there is a network."""

from collections.abc import Iterator
from typing import Any

import psycopg

from ...platform.control.platform import Platform
from ...platform.keys import DatabaseCredential, KeyStore
from ...platform.registry.address import tls_parameters
from ...platform.servers.records import Server
from ..names import Names


def possible_logins(keys: KeyStore, pid: str) -> Iterator[DatabaseCredential]:
    """Yield each login that may be right, again when a rotation has changed them meanwhile. Raises `KeyMissingError`.

    A new login is in the key store before the server gets it. So once they are the same as before, none is missing.
    """
    asked: list[DatabaseCredential] = []
    while (logins := keys.placement_logins(pid)) != asked:
        yield from logins
        asked = logins


def login_parameters(platform: Platform, server: Server, names: Names) -> dict[str, Any]:
    """Return libpq's parameters for the login of a placement in its own database, proved by logging in.

    Raises `KeyMissingError`, and `psycopg.OperationalError` when the server accepts none.
    """
    refused = psycopg.OperationalError("there is no login to try")
    for login in possible_logins(platform.keys, names.pid):
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
