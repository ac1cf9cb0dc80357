"""From an empty folder to a platform that can take tenants: what `init` and every start do first."""

import hashlib
import logging
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import Engine, text

from ...config.settings import Settings
from ...config.template import write_default_settings
from ...platform.control.engine import control_engine
from ...platform.control.migrate import upgrade
from ...platform.keys import KeyStore
from ...platform.keys.store import SERVICE_ROLES
from ...platform.servers import queries as servers
from ..names import CONTROL
from . import bootstrap
from .bootstrap import bootstrap_server
from .embedded import EmbeddedServer
from .places import check_home

EMBEDDED_NAME = "embedded"
PLATFORM_RESERVE = 20  # connections of the platform's own roles: control plane, provisioner, migrator, backup

_MARK = "SELECT obj_description(to_regnamespace('strongroom'), 'pg_namespace')"
_LIMIT = """
    SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true), '0')::int
"""

_logger = logging.getLogger(__name__)


def set_up(settings: Settings, server: EmbeddedServer) -> None:
    """Make whatever is missing of a home: settings file, keys, data folder, roles, control database. Idempotent.

    Leaves the server as it was, running or not. Nobody becomes its superuser when all of that is there already. Raises
    `RefusedError` if the home belongs to somebody else.
    """
    keys = _prepare(settings, server)
    with server.session():
        _bootstrap(server, keys)
        _set_up_control(settings, keys, server)


def set_up_without_tables(settings: Settings, server: EmbeddedServer) -> None:
    """Make what `set_up` makes, but leave the control database empty, or make it so again, for a backup to go into.

    Only for a home in which nobody works yet.
    """
    keys = _prepare(settings, server)
    with server.session():
        _bootstrap(server, keys)
        with server.admin_door():
            with server.connect_admin() as session:
                session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(CONTROL)))
            bootstrap_server(server, keys)


def _prepare(settings: Settings, server: EmbeddedServer) -> KeyStore:
    check_home(settings.home)
    server.initialise()
    write_default_settings(settings.home)
    return KeyStore.create(settings)


def _bootstrap(server: EmbeddedServer, keys: KeyStore) -> None:
    """Do the superuser's part unless the server says that it was done like this; the mark comes last."""
    wanted = _fingerprint(keys)
    if _mark(server, keys) == wanted:
        return
    with server.admin_door():
        bootstrap_server(server, keys)
        with server.connect_admin() as session:
            session.execute(sql.SQL("COMMENT ON SCHEMA strongroom IS {}").format(sql.Literal(wanted)))
    _logger.info("PostgreSQL's superuser was used once, to set up its roles, and is locked out again.")


def _fingerprint(keys: KeyStore) -> str:
    """Return what changes whenever the superuser's part would do something else: its program, the roles' logins."""
    digest = hashlib.sha256()
    program = Path(bootstrap.__file__)
    for file in (program, *sorted(program.with_name("sql").iterdir())):
        digest.update(file.read_bytes() if file.is_file() else b"")
    for role in SERVICE_ROLES:
        digest.update(keys.service_credential(role).verifier.encode())
    return digest.hexdigest()


def _mark(server: EmbeddedServer, keys: KeyStore) -> str | None:
    """Return the fingerprint that the last set-up left; None if there was none, or our login is not the server's."""
    login = keys.service_credential("strongroom_provisioner").conninfo_params()
    where = {"host": str(server.socket_dir), "port": str(server.port), "dbname": "postgres"}
    try:
        with psycopg.connect(**where, **login, connect_timeout=10) as session:  # pyright: ignore[reportArgumentType]  # libpq's own parameters
            row = session.execute(_MARK).fetchone()
    except psycopg.OperationalError:
        return None
    return row[0] if row else None


def _set_up_control(settings: Settings, keys: KeyStore, server: EmbeddedServer) -> None:
    engine = control_engine(settings, keys)
    try:
        upgrade(engine)
        _put_server(settings, server, engine)
    finally:
        engine.dispose()


def _put_server(settings: Settings, server: EmbeddedServer, engine: Engine) -> None:
    with engine.begin() as connection:
        servers.put(
            connection,
            name=EMBEDDED_NAME,
            region_id=settings.region,
            kind="embedded",
            host=str(server.socket_dir),
            port=server.port,
        )
        limit = connection.execute(text(_LIMIT)).scalar_one() - PLATFORM_RESERVE
        servers.set_connection_limit(connection, EMBEDDED_NAME, limit)
