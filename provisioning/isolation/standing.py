"""The standing gate of one server: what the control plane knows, held against what the server has."""

from dataclasses import dataclass

from ...platform.control.platform import Platform
from ...platform.servers.records import Server
from ...platform.tenants import placements
from ...platform.tenants.records import PlacementState
from ..names import Names
from ..sessions import Session, provisioner
from .finding import Finding
from .outside import read, server_findings
from .rules import readable, rule_findings
from .superuser import superuser_findings
from .verifiers import login_findings

_FINISHED = {PlacementState.READY, PlacementState.CURRENT, PlacementState.RETIRED}
_LIVE = [state for state in PlacementState if state is not PlacementState.DROPPED]


@dataclass(frozen=True, slots=True)
class Standing:
    """Gaps in a server's grants and rules; `enterable` are the finished placements whose database lets anybody in."""

    version: str  # of PostgreSQL, such as 18.1
    finished: list[Names]
    enterable: list[Names]
    findings: list[Finding]


def standing(platform: Platform, server: Server) -> Standing:
    """Check everything that can be seen from outside of the databases, while workspaces come and go.

    Tenants are taken from the control plane, never from `pg_database`. Raises `UnavailableError` when the server does
    not answer.
    """
    before = _states(platform, server)
    with provisioner(platform, server) as session:
        catalogs = read(session, server)
        rules = _rules(session) if server.rules_are_ours else []
        rules += superuser_findings(session, platform.settings) if server.kind == "embedded" else []
        logins = login_findings(session, platform.keys, [Names(pid) for pid, s in before.items() if s in _FINISHED])
        version = session.info.parameter_status("server_version") or "unknown"
    after = _states(platform, server)
    # What changed meanwhile is looked at next time; what was never in a finished state may lack parts.
    finished = [Names(pid) for pid, state in before.items() if state in _FINISHED and after.get(pid) in _FINISHED]
    settled = set(finished)
    unfinished = [names for names in map(Names, before | after) if names not in settled]
    roles = {names.role for names in finished}
    found = server_findings(catalogs, finished, unfinished) + rules + [one for one in logins if one.where in roles]
    return Standing(version, finished, catalogs.enterable(finished), found)


def _rules(session: Session) -> list[Finding]:
    return rule_findings(session) if readable(session) else [Finding("pg_hba.conf", "cannot be read")]


def _states(platform: Platform, server: Server) -> dict[str, PlacementState]:
    with platform.control.connect() as conn:
        return {p.id: p.state for p in placements.in_state(conn, *_LIVE) if p.server == server.name}
