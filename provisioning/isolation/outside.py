"""The standing gate over a server's shared catalogs: databases, roles, memberships, and the rules of who may log in.

Read by the provisioner in the maintenance database; nothing here enters a tenant's database.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ...platform.servers.records import Server
from ..names import (
    BACKUP,
    CONTROL,
    LOGINS,
    MAINTENANCE,
    MIGRATOR,
    OWNER,
    OWNERS,
    PROVISIONER,
    TEMPLATE,
    TEMPLATE_OWNER,
    Names,
)
from ..sessions import Session
from .finding import Finding

SUPERUSER = "strongroom_admin"
PLATFORM_ROLES = {OWNER, PROVISIONER, MIGRATOR, BACKUP, CONTROL, LOGINS, OWNERS, TEMPLATE_OWNER}
# Who else may connect to the platform's own databases; their owner and the superuser always may.
_PLATFORM_ACCESS = {
    MAINTENANCE: {PROVISIONER, SUPERUSER},
    "template1": {SUPERUSER},
    CONTROL: {CONTROL, BACKUP, SUPERUSER},
    TEMPLATE: {MIGRATOR, TEMPLATE_OWNER, OWNER, BACKUP, SUPERUSER},
}
# Memberships that the platform's roles need, as (group, member).
_PLATFORM_MEMBERS = {
    (OWNER, PROVISIONER),
    ("pg_signal_backend", OWNER),
    ("pg_read_all_data", BACKUP),
    ("pg_read_all_stats", BACKUP),
    (TEMPLATE_OWNER, MIGRATOR),
    (OWNERS, TEMPLATE_OWNER),
    # PostgreSQL's own, from initdb.
    ("pg_read_all_settings", "pg_monitor"),
    ("pg_read_all_stats", "pg_monitor"),
    ("pg_stat_scan_tables", "pg_monitor"),
}

_DATABASES = """
    SELECT d.datname, d.datallowconn, d.datistemplate, owner.rolname, d.datacl IS NULL,
           coalesce((SELECT array_agg(ARRAY[coalesce(g.rolname, 'PUBLIC'), a.privilege_type, a.is_grantable::text])
                     FROM aclexplode(d.datacl) a LEFT JOIN pg_roles g ON g.oid = a.grantee), '{}')
    FROM pg_database d JOIN pg_roles owner ON owner.oid = d.datdba
"""
_ROLES = """
    SELECT rolname, rolcanlogin, rolinherit, rolconnlimit,
           array_remove(ARRAY[CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
                              CASE WHEN rolcreaterole THEN 'CREATEROLE' END,
                              CASE WHEN rolreplication THEN 'REPLICATION' END,
                              CASE WHEN rolbypassrls THEN 'BYPASSRLS' END], NULL),
           rolconfig IS NOT NULL
    FROM pg_roles
"""
# Who runs the server: its first superuser, the one that set it up for us, and on external servers their other logins.
# What may do more than log in is theirs only where the server is managed by somebody else.
_FOREIGN = """
    SELECT rolname FROM pg_roles r
    WHERE r.oid = 10 OR r.oid = (SELECT nspowner FROM pg_namespace WHERE nspname = 'strongroom')
       OR (%(external)s AND rolname !~ '^(pg_|t_|strongroom_)' AND rolname <> ALL (%(ours)s)
           AND NOT (%(closed)s AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)))
"""
# Whether a member may become the group is a column since PostgreSQL 16; before, every member may.
_MEMBERS = """
    SELECT g.rolname, m.rolname, a.admin_option, coalesce((to_jsonb(a) ->> 'set_option')::boolean, false)
    FROM pg_auth_members a JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
"""
_SETTINGS = """
    SELECT coalesce(r.rolname, ''), coalesce(d.datname, '') FROM pg_db_role_setting s
    LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
"""
_GROUPS = {OWNER, LOGINS, OWNERS, TEMPLATE_OWNER}


@dataclass(frozen=True, slots=True)
class Catalogs:
    """What a server's shared catalogs say at one moment."""

    databases: list[tuple[Any, ...]]
    roles: list[tuple[Any, ...]]
    members: list[tuple[Any, ...]]
    settings: list[tuple[Any, ...]]
    foreign: frozenset[str] = frozenset()  # roles of those who run the server, which are none of ours

    def enterable(self, names: Sequence[Names]) -> list[Names]:
        """Return those whose database lets anybody in at all; one that a restore has retired does not."""
        open_ones = {row[0] for row in self.databases if row[1]}
        return [one for one in names if one.database in open_ones]


def read(session: Session, server: Server) -> Catalogs:
    """Read the catalogs of `server` in one snapshot."""
    kind = {"external": server.kind == "external", "closed": server.rules_are_ours, "ours": [LOGINS, OWNERS]}
    with session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        rows = [session.execute(query).fetchall() for query in (_DATABASES, _ROLES, _MEMBERS, _SETTINGS)]
        foreign = frozenset(row[0] for row in session.execute(_FOREIGN, kind))
    return Catalogs(*rows, foreign=foreign)


def server_findings(catalogs: Catalogs, finished: Sequence[Names], unfinished: Sequence[Names]) -> list[Finding]:
    """Judge a server that should hold these placements and nothing else of ours.

    `unfinished` ones, which are being made or dropped, may lack parts; what is there of them belongs to them alone.
    """
    by_database = {names.database: names for names in finished}
    logins, owners = set(by_database), {names.owner for names in finished}
    moving = {name for names in unfinished for name in (names.role, names.owner)}
    findings = _missing(by_database, {row[0] for row in catalogs.databases}, "has no database")
    findings += _missing(by_database, {row[0] for row in catalogs.roles}, "has no login role")
    for row in catalogs.databases:
        findings += [] if row[0] in moving else _database(row, by_database.get(row[0]), catalogs.foreign)
    for row in catalogs.roles:
        findings += [] if row[0] in moving or row[0] in catalogs.foreign else _role(row, logins, owners)
    logins |= {names.role for names in unfinished}
    owners |= {names.owner for names in unfinished}
    for row in catalogs.members:
        if row[1] in catalogs.foreign and not (row[0] in PLATFORM_ROLES or row[0].startswith("t_")):
            continue
        findings += _membership(row, logins, owners)
    return findings + _settings(catalogs.settings, logins | owners)


def placement_findings(session: Session, expected: Sequence[Names]) -> list[Finding]:
    """Check only these placements' databases and roles: what a creation or a restore asks for."""
    logins, owners = {n.role: n for n in expected}, {n.owner for n in expected}
    names = [*logins, *owners]
    rows = session.execute(f"{_DATABASES} WHERE d.datname = ANY(%s)", (list(logins),)).fetchall()
    findings = _missing(logins, {row[0] for row in rows}, "has no database")
    for row in rows:
        findings += _database(row, logins[row[0]])
    for row in session.execute(f"{_ROLES} WHERE rolname = ANY(%s)", (names,)):
        findings += _role(row, set(logins), owners)
    where = " WHERE g.rolname = ANY(%s) OR m.rolname = ANY(%s)"
    for row in session.execute(_MEMBERS + where, (names, names)):
        findings += _membership(row, set(logins), owners)
    where = " WHERE r.rolname = ANY(%s) OR d.datname = ANY(%s)"
    return findings + _settings(session.execute(_SETTINGS + where, (names, names)).fetchall(), set(names))


def _missing(expected: Iterable[str], there: set[str], sentence: str) -> list[Finding]:
    return [Finding(name, sentence) for name in expected if name not in there]


def _database(row: Sequence[Any], names: Names | None, foreign: frozenset[str] = frozenset()) -> list[Finding]:
    name, connectable, is_template, owner, no_acl, grants = row
    found: list[str] = []
    if no_acl and connectable:
        found.append("has no access list, so every role may connect")
    if names:
        found += _tenant_database(names, is_template, owner, grants)
    elif name.startswith("t_"):
        found.append("belongs to no placement that the control plane knows")
    else:
        found += _platform_database(name, connectable, grants, foreign)
    return [Finding(name, sentence) for sentence in found]


def _tenant_database(names: Names, is_template: bool, owner: str, grants: list[list[str]]) -> Iterable[str]:
    if is_template:
        yield "is marked as a template, so every role with CREATEDB may copy it"
    if owner != OWNER:
        yield f"belongs to {owner}, who may grant access to it"
    for grantee, privilege, grantable in grants:
        if grantee == OWNER:
            continue
        if grantee not in {names.role, MIGRATOR, BACKUP} or privilege != "CONNECT":
            yield f"grants {privilege} to {grantee}"
        if grantable == "true":
            yield f"lets {grantee} pass on {privilege}"


def _platform_database(name: str, connectable: bool, grants: list[list[str]], foreign: frozenset[str]) -> Iterable[str]:
    allowed = _PLATFORM_ACCESS.get(name)
    for grantee, privilege, _ in grants:
        if connectable and (grantee == "PUBLIC" or (allowed is not None and grantee not in allowed | foreign)):
            yield f"grants {privilege} to {grantee}"


def _role(row: Sequence[Any], logins: set[str], owners: set[str]) -> list[Finding]:
    name, can_login, inherits, connection_limit, attributes, has_settings = row
    found: list[str] = []
    if name in logins or name in owners or name in PLATFORM_ROLES:
        allowed = {"CREATEDB"} if name == PROVISIONER else set[str]()
        found += [f"has {attribute}" for attribute in attributes if attribute not in allowed]
    elif name.startswith("t_"):
        found.append("belongs to no placement that the control plane knows")
    elif not name.startswith("pg_") and name != SUPERUSER and (can_login or attributes):
        found.append("is no role of the platform" + (", yet it may log in" if can_login else ""))
    if name in logins:
        found += ["inherits rights"] if inherits else []
        found += ["may open any number of connections"] if connection_limit < 0 else []
        found += ["has settings of its own"] if has_settings else []
        found += [] if can_login else ["cannot log in"]
    if name in owners and can_login:
        found.append("owns objects and may log in")
    if name in _GROUPS and can_login:
        found.append("is a group and may log in")
    return [Finding(name, sentence) for sentence in found]


def _membership(row: Sequence[Any], logins: set[str], owners: set[str]) -> list[Finding]:
    group, member, may_grant, may_become = row
    allowed = (
        (group, member) in _PLATFORM_MEMBERS
        or (group == LOGINS and member in logins)
        or (group == OWNERS and member in owners)
        or (group in owners and member == MIGRATOR)
    )
    if not allowed:
        return [Finding(member, f"is a member of {group}")]
    found = [f"may grant membership of {group}"] if may_grant else []
    found += [f"may become {group}"] if may_become and group == LOGINS else []
    return [Finding(member, sentence) for sentence in found]


def _settings(rows: Sequence[tuple[Any, ...]], ours: set[str]) -> list[Finding]:
    """Judge settings that hang on a database, or on a role that all tenants share; `_role` judges those on a login."""
    found: list[Finding] = []
    for role, database in rows:
        if role in _GROUPS or (database and {role, database} & ours):
            where = f" in {database}" if role and database else ""
            found.append(Finding(role or database, f"has settings of its own{where}"))
    return found
