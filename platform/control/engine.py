"""Connections to the control database."""

from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine

from ...config.errors import UnavailableError
from ...config.settings import Settings
from ..keys import KeyStore
from .address import CONTROL_DATABASE, CONTROL_ROLE, read_address


def control_engine(settings: Settings, keys: KeyStore) -> Engine:
    """Return an engine with a small pool, as the role `strongroom_control`. Connects when first used.

    A connection that cannot be had raises `UnavailableError`. The login never stands in a URL.
    """

    def connect() -> psycopg.Connection[Any]:
        try:
            return psycopg.connect(**control_params(settings, keys))
        except psycopg.OperationalError as error:
            raise UnavailableError("The control database does not answer; start it with: strongroom up") from error

    return create_engine(
        "postgresql+psycopg://",
        creator=connect,
        pool_size=4,
        max_overflow=72,  # 32 backups at the same time hold two locks each; these connections are opened on demand
        pool_timeout=settings.checkout_timeout,
        pool_pre_ping=True,  # the server may have been restarted since
        hide_parameters=True,  # they hold names and sealed addresses, and messages end in logs
    )


def control_params(settings: Settings, keys: KeyStore) -> dict[str, Any]:
    """Return the parameters for `psycopg.connect` to the control database."""
    address = read_address(settings)
    return {
        "host": address.host,
        "port": address.port,
        "dbname": CONTROL_DATABASE,
        "connect_timeout": 5,
        "application_name": "strongroom",
        **keys.service_credential(CONTROL_ROLE).conninfo_params(),
    }
