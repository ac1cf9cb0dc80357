"""Which options let `pg_dump` ask the server less, without leaving anything out."""

from psycopg import sql

from ..provisioning.sessions import Session

# A restore takes neither owners nor grants from a dump: it sets its own (provisioning/gates.py).
_ALWAYS = ("--no-acl",)
_FIRST_OURS = 16384  # FirstNormalObjectId: below are the objects that every database is made with
# What no schema holds, or hangs on objects of any: where one of these has a row, the whole database is dumped.
_OUTSIDE = (
    "pg_extension WHERE extname <> 'plpgsql'",
    *(
        f"{catalog} WHERE oid >= {_FIRST_OURS}"
        for catalog in (
            "pg_language",
            "pg_cast",
            "pg_transform",
            "pg_am",
            "pg_event_trigger",
            "pg_foreign_data_wrapper",
            "pg_publication",
            "pg_largeobject_metadata",
            "pg_default_acl",
        )
    ),
    f"pg_description WHERE objoid >= {_FIRST_OURS}",
    "pg_seclabel",
    "pg_depend WHERE refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace('public')",
)
_SCHEMAS = """
SELECT n.nspname FROM pg_catalog.pg_namespace n
WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'public') ORDER BY 1
"""
_ANYTHING_ELSE = sql.SQL("SELECT ") + sql.SQL(" OR ").join(
    sql.SQL(f"EXISTS (SELECT FROM {where})")  # pyright: ignore[reportArgumentType]  # of this module's literals
    for where in _OUTSIDE
)


def dump_options(session: Session) -> list[str]:
    """Return the options for a dump of the database that `session` is in, as the session's snapshot shows it.

    A database that consists of its schemas is dumped as these, which saves a fifth of the time of a small one: casts,
    languages, functions of the system and comments on them are not asked for then.
    """
    schemas = [str(name) for (name,) in session.execute(_SCHEMAS)]
    found = session.execute(_ANYTHING_ELSE).fetchone()
    if not schemas or found is None or found[0]:
        return [*_ALWAYS]
    only = [f'--schema="{name.replace(chr(34), chr(34) * 2)}"' for name in schemas]
    return [*_ALWAYS, "--no-comments", "--no-security-labels", *only]
