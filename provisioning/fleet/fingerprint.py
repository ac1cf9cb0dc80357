"""Two databases with the same fingerprint have the same tables, columns, constraints, indexes, triggers and functions.

Object ids and column numbers are left out: they differ between a copy of the template and a restored database.
"""

from typing import Any

from psycopg import sql

from ...config.errors import FailedError
from ...tenant_schema.tables import SCHEMA
from ..sessions import Session

# Revision, and a hash of tables and columns: read in the transaction of each upgrade, so it must cost little.
_COLUMNS = f"""
SELECT version_num, (
    SELECT sum(hashtextextended(format('%s %s %s %s %s', attrelid::regclass, attname, atttypid::regtype, atttypmod,
                                       attnotnull), 0))::text
    FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped AND attrelid = ANY (ARRAY(
        SELECT oid FROM pg_class WHERE relnamespace = '{SCHEMA}'::regnamespace AND relkind IN ('r', 'p', 'v', 'm'))))
FROM {SCHEMA}.alembic_version
"""  # noqa: S608  # the schema's name is ours
_SHAPE = f"""
SELECT md5(string_agg(line, E'\\n' ORDER BY line COLLATE "C")) FROM (
    SELECT concat_ws(' ', 'column', c.relname, c.relkind, a.attname, t.typname, a.atttypmod, a.attnotnull,
                     a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid)) AS line
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = '{SCHEMA}'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
    UNION ALL
    SELECT concat_ws(' ', 'constraint', c.relname, k.conname, k.contype, k.convalidated, k.condeferrable,
                     k.confdeltype, f.relname)
    FROM pg_constraint k LEFT JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_class f ON f.oid = k.confrelid
    WHERE k.connamespace = '{SCHEMA}'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', 'index', t.relname, c.relname, i.indisunique, i.indisvalid, i.indnkeyatts, i.indpred IS NULL,
                     i.indexprs IS NULL)
    FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_class t ON t.oid = i.indrelid
    WHERE c.relnamespace = '{SCHEMA}'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', 'sequence', c.relname) FROM pg_class c
    WHERE c.relnamespace = '{SCHEMA}'::regnamespace AND c.relkind = 'S'
    UNION ALL
    SELECT concat_ws(' ', 'trigger', c.relname, g.tgname, g.tgtype, g.tgenabled, p.proname)
    FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_proc p ON p.oid = g.tgfoid
    WHERE c.relnamespace = '{SCHEMA}'::regnamespace AND NOT g.tgisinternal
    UNION ALL
    SELECT concat_ws(' ', 'function', p.proname, p.pronargs, p.prosecdef, p.provolatile, md5(p.prosrc)) FROM pg_proc p
    WHERE p.pronamespace = '{SCHEMA}'::regnamespace
) AS lines
"""  # noqa: S608  # the schema's name is ours


def columns(session: Session) -> tuple[str, str]:
    """Return the revision that is written in the database, and a hash of the columns that it really has."""
    return _row(session, _COLUMNS)


def shape(session: Session) -> str:
    """Return a hash over everything that a revision can change."""
    return _row(session, _SHAPE)[0]


def _row(session: Session, statement: str) -> tuple[Any, ...]:
    row = session.execute(sql.SQL(statement)).fetchone()  # pyright: ignore[reportArgumentType]  # made of this module's literals
    if row is None:
        raise FailedError("The database has no revision of the tenants' schema.")
    return row
