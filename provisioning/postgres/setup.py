"""From an empty folder to a platform that can take tenants: what `init` and every start do first."""

from ...config.settings import Settings, write_default_settings
from ...platform.control.engine import control_engine
from ...platform.control.migrate import upgrade
from ...platform.keys import KeyStore
from ...platform.servers import queries as servers
from .bootstrap import bootstrap_server
from .embedded import EmbeddedServer
from .places import check_home

EMBEDDED_NAME = "embedded"


def set_up(settings: Settings, server: EmbeddedServer) -> None:
    """Make whatever is missing of a home: settings file, keys, data folder, roles, control database. Idempotent.

    Leaves the server as it was, running or not. Raises `RefusedError` if the home belongs to somebody else.
    """
    check_home(settings.home)
    server.initialise()
    write_default_settings(settings.home)
    keys = KeyStore.create(settings)
    with server.session():
        bootstrap_server(server, keys)
        _set_up_control(settings, keys, server)


def _set_up_control(settings: Settings, keys: KeyStore, server: EmbeddedServer) -> None:
    engine = control_engine(settings, keys)
    try:
        upgrade(engine)
        with engine.begin() as connection:
            servers.put(
                connection,
                name=EMBEDDED_NAME,
                region_id=settings.region,
                kind="embedded",
                host=str(server.socket_dir),
                port=server.port,
            )
    finally:
        engine.dispose()
