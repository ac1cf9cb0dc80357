"""Has a database changed? A reading that differs after every change; equal readings mean that nothing was written.

Counts of transactions would not do: they count reads. The system identifier, the timeline and the resets of the
statistics are part of it because each of them means that the counters start again.
"""

from typing import Any

import psycopg

# A backend publishes its counters when it is idle for 10 s, or leaves: until then its changes are not in them.
SETTLED_SECONDS = 15
_READING = """
SELECT (SELECT system_identifier FROM pg_control_system())::text AS system,
       (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,
       (SELECT stats_reset FROM pg_stat_wal)::text AS wal_reset,
       d.datid::bigint AS database, d.stats_reset::text AS database_reset,
       d.tup_inserted + d.tup_updated + d.tup_deleted AS written
FROM pg_stat_database d WHERE d.datname = current_database()
"""
_SEQUENCES = "SELECT format('%I.%I', schemaname, sequencename), last_value FROM pg_sequences ORDER BY 1"
_UNSETTLED = """
SELECT count(*) FROM pg_stat_activity
WHERE datid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
  AND backend_type = 'client backend'
  AND (state IS DISTINCT FROM 'idle' OR state_change > now() - make_interval(secs => %s))
"""

Fingerprint = dict[str, Any]


def read_fingerprint(connection: psycopg.Connection[Any]) -> Fingerprint | None:
    """Return the reading, or None while somebody may have written what the counters do not show yet.

    To be read before the snapshot of a dump: a change between the two then makes the next reading differ.
    """
    unsettled = connection.execute(_UNSETTLED, (SETTLED_SECONDS,)).fetchone()
    if unsettled is None or unsettled[0]:
        return None
    cursor = connection.execute(_READING)
    row = cursor.fetchone()
    if row is None or cursor.description is None:
        return None
    reading = {column.name: value for column, value in zip(cursor.description, row, strict=True)}
    return reading | {"sequences": dict(connection.execute(_SEQUENCES))}
