"""Which workspaces the certificate must name, asked of the control database with a connection of its own each time."""

from sqlalchemy import Engine

from ...config.settings import Settings
from ..control.engine import control_engine
from ..keys import KeyStore
from ..tenants import queries as tenants
from .tls import MAX_NAMES


def workspace_slugs(settings: Settings) -> list[str]:
    """The slugs to name, oldest first; none where a wildcard covers them. Raises `UnavailableError`."""
    if "." in settings.base_domain:
        return []
    # Nothing stays open: the process that asks forks the processes that serve.
    engine: Engine = control_engine(settings, KeyStore.open(settings))
    try:
        with engine.connect() as conn:
            return tenants.oldest_slugs(conn, MAX_NAMES)
    finally:
        engine.dispose()
