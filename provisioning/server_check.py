"""`server check`: can the platform's roles reach a server, and is everything on it closed that must be?"""

from dataclasses import dataclass, replace

from ..platform.control.platform import Platform
from ..platform.servers import queries as servers
from ..platform.servers.records import Server
from .isolation.finding import Finding
from .isolation.standing import standing
from .server_layers import Hint, Layer, hints, layers
from .sessions import provisioner
from .strays import find_strays


@dataclass(frozen=True, slots=True)
class ServerReport:
    """What was found on one server. `version` is PostgreSQL's own, such as 18.1; only `findings` are failures."""

    name: str
    version: str
    databases: int
    findings: list[Finding]
    layers: list[Layer]
    hints: list[Hint]


def check_server(platform: Platform, name: str) -> ServerReport:
    """Reach the server as the provisioner, run the standing gate over its shared catalogs, look at its layers.

    What does not fit together between control plane, server and key store is a finding, too.

    Raises `NotFoundError` for an unknown server, `UnavailableError` when it does not answer.
    """
    with platform.control.connect() as conn:
        server = servers.by_name(conn, name)
    report = look_at(platform, server)
    named = {finding.where for finding in report.findings}
    strays = [Finding(one.where, one.sentence) for one in find_strays(platform, server) if one.where not in named]
    return replace(report, findings=report.findings + strays)


def look_at(platform: Platform, server: Server) -> ServerReport:
    """Do the same for a server that the control plane need not know yet."""
    seen = standing(platform, server)
    with provisioner(platform, server) as session:
        found = layers(server, session, seen.findings)
        better = hints(platform, server, session)
    return ServerReport(server.name, seen.version, len(seen.finished), seen.findings, found, better)
