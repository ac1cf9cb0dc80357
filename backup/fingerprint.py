"""Has a database changed? A reading that differs after every change; equal readings mean that nothing was written.

Counts of transactions would not do: they count reads. The system identifier, the timeline and the resets of the
statistics are part of it because each of them means that the counters start again.
"""

from collections.abc import Sequence
from typing import Any

import psycopg

# A backend publishes its counters when it is idle for 10 s, or leaves: until then its changes are not in them.
SETTLED_SECONDS = 15
_COLUMNS = """
       (SELECT system_identifier FROM pg_control_system())::text AS system,
       (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,
       (SELECT stats_reset FROM pg_stat_wal)::text AS wal_reset,
       d.datid::bigint AS database, d.stats_reset::text AS database_reset,
       d.tup_inserted + d.tup_updated + d.tup_deleted AS written
"""
_READING = f"SELECT {_COLUMNS} FROM pg_stat_database d WHERE d.datname = current_database()"  # noqa: S608  # ours
_SEQUENCES = "SELECT format('%I.%I', schemaname, sequencename), last_value FROM pg_sequences ORDER BY 1"
_AT_WORK = """
  a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
  AND (a.state IS DISTINCT FROM 'idle' OR a.state_change > now() - make_interval(secs => %s))
"""
_UNSETTLED = f"""
SELECT count(*) FROM pg_stat_activity a
WHERE a.datid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND {_AT_WORK}
"""  # noqa: S608  # ours
# Who is at work is read before the counters, as in `read_fingerprint`: whoever ends in between has published them.
_UNSETTLED_DATABASES = f"SELECT DISTINCT a.datname FROM pg_stat_activity a WHERE a.datid <> 0 AND {_AT_WORK}"  # noqa: S608
_READINGS = f"SELECT d.datname, {_COLUMNS} FROM pg_stat_database d WHERE d.datname = ANY(%s)"  # noqa: S608  # ours

Fingerprint = dict[str, Any]


def read_fingerprint(connection: psycopg.Connection[Any]) -> Fingerprint | None:
    """Return the reading, or None while somebody may have written what the counters do not show yet.

    To be read before the snapshot of a dump: a change between the two then makes the next reading differ.
    """
    unsettled = connection.execute(_UNSETTLED, (SETTLED_SECONDS,)).fetchone()
    if unsettled is None or unsettled[0]:
        return None
    found = _rows(connection.execute(_READING))
    return found[0] | {"sequences": dict(connection.execute(_SEQUENCES))} if found else None


def read_fingerprints(connection: psycopg.Connection[Any], databases: Sequence[str]) -> dict[str, Fingerprint]:
    """Return the readings of those of these databases of one server that are settled, as if they had no sequences.

    `connection` is to any database of the server. Good for a comparison with readings that have no sequences.
    """
    unsettled = {str(name) for (name,) in connection.execute(_UNSETTLED_DATABASES, (SETTLED_SECONDS,))}
    found = _rows(connection.execute(_READINGS, (list(databases),)))
    none: dict[str, int] = {}
    return {
        name: reading | {"sequences": none}
        for reading in found
        if (name := str(reading.pop("datname"))) not in unsettled
    }


def _rows(cursor: psycopg.Cursor[Any]) -> list[dict[str, Any]]:
    columns = [column.name for column in cursor.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in cursor]
