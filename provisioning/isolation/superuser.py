"""The standing gate over the superuser of a server that is ours: nobody is it, and no rule lets anybody be it."""

from ...config.settings import Settings
from ..postgres.embedded import EmbeddedServer
from ..sessions import Session
from .finding import Finding
from .outside import SUPERUSER

_RULES = """
    SELECT line_number FROM pg_hba_file_rules
    WHERE %s = ANY (user_name) AND auth_method <> 'reject' ORDER BY line_number
"""
# Processes of the server itself, such as autovacuum's, have no user or no database.
_SESSIONS = """
    SELECT count(*) FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
    WHERE r.rolsuper AND a.datid IS NOT NULL
"""


def superuser_findings(session: Session, settings: Settings) -> list[Finding]:
    """Check rules and sessions, but for the moments in which the embedded server is set up."""
    if EmbeddedServer(settings).admin_door_is_held():
        return []
    lines = session.execute(_RULES, (SUPERUSER,)).fetchall()
    findings = [Finding(f"pg_hba.conf line {line}", "lets the superuser in") for (line,) in lines]
    row = session.execute(_SESSIONS).fetchone()
    if row and row[0]:
        findings.append(Finding(f"{row[0]} session(s)", "belong to a superuser"))
    return findings
