"""What a restore must reproduce: rows and hashes of each table, sequences, the shape of the schema.

Taken in the snapshot of the dump, and again from the restored copy. Pure, apart from `read_manifest`.
"""

import hashlib
import re
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg import sql

# `t::text` depends on these; both sides must read under the same ones.
FIXED_SETTINGS = """
SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 1;
SET bytea_output = 'hex'; SET search_path = ''; SET xmloption = 'content'
"""
_OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_TABLES = f"""
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND {_OURS} ORDER BY 1, 2
"""  # noqa: S608  # the condition is ours
_SEQUENCES = """
SELECT pg_catalog.format('%I.%I', schemaname, sequencename), last_value FROM pg_catalog.pg_sequences ORDER BY 1
"""
_SHAPE = f"""
SELECT pg_catalog.format('column %I.%I.%I %s %s %s %s', n.nspname, c.relname, a.attname,
         pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
         pg_catalog.pg_get_expr(d.adbin, d.adrelid))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'v', 'm', 'p') AND {_OURS}
UNION ALL
SELECT pg_catalog.format('constraint %I.%s %I %s', n.nspname, k.conrelid::pg_catalog.regclass, k.conname,
         pg_catalog.pg_get_constraintdef(k.oid))
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace WHERE {_OURS} {{not_null}}
UNION ALL
SELECT pg_catalog.pg_get_indexdef(i.indexrelid)
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS}
UNION ALL
SELECT pg_catalog.pg_get_triggerdef(t.oid)
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND {_OURS}
UNION ALL
SELECT pg_catalog.format('function %I.%I %s %s', n.nspname, p.proname,
         pg_catalog.pg_get_function_identity_arguments(p.oid), pg_catalog.md5(p.prosrc))
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE {_OURS}
"""  # noqa: S608  # the condition is ours
LAYOUT = 2
_SHAPES = {
    1: sql.SQL(_SHAPE.replace("{not_null}", "")),
    2: sql.SQL(_SHAPE.replace("{not_null}", "AND k.contype <> 'n'")),
}


@dataclass(frozen=True, slots=True)
class TableSum:
    """A table's content in two numbers: rows, and the sum of the rows' 64-bit hashes (0 when empty)."""

    rows: int
    hash: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of one database at one moment."""

    tables: dict[str, TableSum]
    sequences: dict[str, int | None]
    schema: str  # SHA-256 over columns, constraints, indexes, triggers and functions
    layout: int = 1  # of `schema`: since 2 without NOT NULL constraints, which only PostgreSQL 18 has as such

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Manifest":
        """Undo `to_json`."""
        tables = {name: TableSum(entry["rows"], entry["hash"]) for name, entry in values["tables"].items()}
        return cls(tables, dict(values["sequences"]), values["schema"], values.get("layout", 1))

    @property
    def rows(self) -> int:
        """Rows in all tables."""
        return sum(table.rows for table in self.tables.values())


def differences(expected: Manifest, found: Manifest) -> list[str]:
    """Return one phrase for each way in which `found` is not `expected`; empty when they agree.

    A sequence may stand further on: it counts outside of transactions, so the dump, which reads it a moment after the
    manifest was read, may have a later value. Behind, it would give out numbers that are in use.
    """
    result = [
        _table_difference(name, expected.tables.get(name), found.tables.get(name))
        for name in sorted(expected.tables.keys() | found.tables.keys())
        if expected.tables.get(name) != found.tables.get(name)
    ]
    result += [
        f"sequence {name} stands at {found.sequences.get(name)} instead of {expected.sequences.get(name)}"
        for name in sorted(expected.sequences.keys() | found.sequences.keys())
        if not _covers(expected, found, name)
    ]
    if expected.schema != found.schema:
        result.append("columns, constraints, indexes, triggers or functions differ")
    return result


def _covers(expected: Manifest, found: Manifest, sequence: str) -> bool:
    both_know = sequence in expected.sequences and sequence in found.sequences
    return both_know and (found.sequences[sequence] or 0) >= (expected.sequences[sequence] or 0)


def _table_difference(name: str, expected: TableSum | None, found: TableSum | None) -> str:
    if expected is None or found is None:
        return f"table {name} is {'missing' if found is None else 'not part of the backup'}"
    if expected.rows != found.rows:
        return f"table {name} has {found.rows} rows instead of {expected.rows}"
    return f"table {name} has other content"


def read_manifest(connection: psycopg.Connection[Any], layout: int = LAYOUT) -> Manifest:
    """Read the manifest in the connection's open transaction, whose isolation level the caller has chosen.

    `layout` is that of the manifest that it will be compared with.
    """
    connection.execute(FIXED_SETTINGS)
    names = [(str(schema), str(table)) for schema, table in connection.execute(_TABLES)]
    sequences = {str(name): value for name, value in connection.execute(_SEQUENCES)}
    # PostgreSQL flattens `(a OR b) OR c` when it reads its own text again, so brackets say nothing here.
    lines = sorted(re.sub(r"[()\s]", "", str(line)) for (line,) in connection.execute(_SHAPES[layout]))
    shape = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return Manifest(_table_sums(connection, names), sequences, shape, layout)


def _table_sums(connection: psycopg.Connection[Any], names: list[tuple[str, str]]) -> dict[str, TableSum]:
    if not names:
        return {}
    one = sql.SQL("SELECT {}, count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM {} t")
    parts = [one.format(f"{schema}.{table}", sql.Identifier(schema, table)) for schema, table in names]
    rows = connection.execute(sql.SQL(" UNION ALL ").join(parts)).fetchall()
    return {str(name): TableSum(int(count), str(total)) for name, count, total in rows}
