"""`server check`: can the platform's roles reach a server, and is everything on it closed that must be?"""

from dataclasses import dataclass

from ..platform.control.platform import Platform
from ..platform.servers import queries as servers
from .isolation.finding import Finding
from .isolation.standing import standing


@dataclass(frozen=True, slots=True)
class ServerReport:
    """What was found on one server. `version` is PostgreSQL's own, such as 18.1."""

    name: str
    version: str
    databases: int
    findings: list[Finding]


def check_server(platform: Platform, name: str) -> ServerReport:
    """Reach the server as the provisioner and run the standing gate over its shared catalogs.

    Raises `NotFoundError` for an unknown server, `UnavailableError` when it does not answer.
    """
    with platform.control.connect() as conn:
        server = servers.by_name(conn, name)
    seen = standing(platform, server)
    return ServerReport(name, seen.version, len(seen.finished), seen.findings)
