"""Building a database that a workspace can live in: one visible list of steps, each of which may be repeated."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager

from ..config.errors import FailedError
from ..platform.control.platform import Platform
from ..platform.servers.records import Server
from ..platform.tenants.records import Placement
from ..tenant_schema.migrate import newest_revision
from . import database
from .gates import adopt_objects
from .isolation.outside import placement_findings
from .names import Names
from .placements import make_database, make_roles
from .schema import upgrade_schema
from .sessions import Session, provisioner


class Sessions:
    """The provisioner's sessions of one process, one for each server, opened when first needed. Not for threads."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._open: dict[str, tuple[Session, ExitStack]] = {}

    def on(self, server: Server) -> Session:
        """Return a living session on `server`. Raises `UnavailableError` when it does not answer."""
        if server.name in self._open and self._open[server.name][0].closed:
            self._open.pop(server.name)[1].close()
        if server.name not in self._open:
            stack = ExitStack()
            self._open[server.name] = stack.enter_context(provisioner(self._platform, server)), stack
        return self._open[server.name][0]

    def close(self) -> None:
        """End the sessions."""
        while self._open:
            self._open.popitem()[1][1].close()


@contextmanager
def provisioner_sessions(platform: Platform) -> Generator[Sessions]:
    """Yield sessions that end with the block."""
    sessions = Sessions(platform)
    try:
        yield sessions
    finally:
        sessions.close()


class Site:
    """What the steps share: the placement that is being built, its server, and the provisioner's sessions."""

    def __init__(self, platform: Platform, server: Server, placement: Placement, sessions: Sessions) -> None:
        self.platform = platform
        self.server = server
        self.placement = placement
        self.names = Names(placement.id)
        self._sessions = sessions

    @property
    def session(self) -> Session:
        """The provisioner's session on the server."""
        return self._sessions.on(self.server)


def make_logins(site: Site) -> None:
    """Make the key of the database's login, the login, and the owner of its tables."""
    make_roles(site.platform, site.session, site.names)


def copy_template(site: Site) -> None:
    """Make the database; nobody can connect to it yet."""
    make_database(site.platform, site.server, site.session, site.names)


def shut_gates(site: Site) -> None:
    """Take everything from PUBLIC before the first connection is allowed, which is the migrator's."""
    database.open_to_migrator(site.session, site.names)


def bring_schema(site: Site) -> None:
    """Hand the template's tables to the database's own roles; a copy made by an older release is upgraded."""
    if adopt_objects(site.platform, site.server, site.placement.id) != newest_revision():
        upgrade_schema(site.platform, site.server, site.names.database, site.names.owner)
        adopt_objects(site.platform, site.server, site.placement.id)


def let_tenant_in(site: Site) -> None:
    """Let the database's login connect, and check that nobody else can."""
    database.open_to_tenant(site.session, site.names)
    found = placement_findings(site.session, [site.names])
    if found:
        raise FailedError(f"The new database is not closed: {found[0].where} {found[0].sentence}.")


BUILDING: tuple[Callable[[Site], None], ...] = (
    make_logins,
    copy_template,
    shut_gates,
    bring_schema,
    let_tenant_in,
)
