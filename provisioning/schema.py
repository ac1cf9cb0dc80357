"""Bringing one database's schema to the newest revision."""

from pathlib import Path

from psycopg import sql

from ..platform.control.platform import Platform
from ..platform.servers.records import Server
from ..tenant_schema.migrate import REVISIONS, upgrade
from .sessions import migrator_connection


def upgrade_schema(platform: Platform, server: Server, database: str, owner: str, folder: Path = REVISIONS) -> str:
    """Run the missing revisions in `database` as the role `owner`, in one transaction; return the newest revision."""
    become_owner = sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(owner)).as_string(None)
    with migrator_connection(platform, server, database) as connection, connection.begin():
        connection.exec_driver_sql(become_owner)
        return upgrade(connection, folder)
