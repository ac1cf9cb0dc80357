"""Finds in one reading per server the workspaces to which nobody has written since their last verified backup.

Only for databases without sequences, which stand in no statistics: a new sequence is a row of the catalogs, and those
are counted. Whatever is in doubt is left to `take`, which looks into the database itself.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import psycopg

from ..config.errors import StrongroomError, UnavailableError
from ..platform.control.platform import Platform
from ..platform.servers import queries as servers
from . import names
from .due import needs_dump
from .fingerprint import Fingerprint, read_fingerprints
from .proved import Proved, add_unchanged, newest_proved
from .stores.contract import Store
from .stores.opening import open_store, stores_for
from .subject import any_session


def note_unchanged(platform: Platform, tenant_ids: Sequence[str]) -> dict[str, str]:
    """Record an `unchanged` backup of each of these workspaces that is one; return the entries' ids by tenant.

    A server that does not answer is passed over. Several processes may do this at the same time.
    """
    if not tenant_ids:
        return {}
    now = datetime.now(UTC)
    with platform.control.connect() as conn:
        proved = [last for last in newest_proved(conn, tenant_ids) if comparable(last, now)]
    found = [last for server in {last.server for last in proved} for last in _of_server(platform, server, proved)]
    found = _still_stored(platform, found)
    entries = {last.tenant_id: (names.new_backup_id(now), last.id) for last in found}
    if not entries:
        return {}
    with platform.control.begin() as conn:
        made = add_unchanged(conn, list(entries.values()), now, datetime.now(UTC))
    return {tenant_id: backup_id for tenant_id, (backup_id, _) in entries.items() if backup_id in made}


def comparable(last: Proved, now: datetime) -> bool:
    """Say whether statistics alone can tell that nothing has changed since `last`, and whether that is enough."""
    without_sequences = last.fingerprint is not None and last.fingerprint.get("sequences") == {}
    return without_sequences and not needs_dump(last.started_at, now)


def _still_stored(platform: Platform, proved: Sequence[Proved]) -> list[Proved]:
    """Return those whose dump still lies where backups of their region are made; a store may have been emptied."""
    making: dict[str, Store] = {}
    with suppress(StrongroomError):  # a store that is away: taking the backup says so
        for region in {last.region for last in proved}:
            if described := stores_for(platform.settings, region):
                making[region] = open_store(platform.settings, described[0].name)
        return [
            last for last in proved if last.object and last.region in making and making[last.region].exists(last.object)
        ]
    return []


def _of_server(platform: Platform, name: str, proved: Sequence[Proved]) -> list[Proved]:
    """Return those on the server `name` whose counters stand where they stood."""
    here = [last for last in proved if last.server == name]
    readings: dict[str, Fingerprint] = {}
    with platform.control.connect() as conn:
        server = servers.by_name(conn, name)
    databases = [last.database for last in here]
    with suppress(UnavailableError, psycopg.Error), any_session(platform, server, databases) as session:
        readings = read_fingerprints(session, databases)
    return [last for last in here if last.fingerprint == readings.get(last.database)]
