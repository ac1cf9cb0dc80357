"""What an upgraded database must look like: the template, which is upgraded first and shows that the revisions work."""

from dataclasses import dataclass
from pathlib import Path

from ...platform.control.platform import Platform
from ...platform.servers.records import Server
from ...tenant_schema.migrate import newest_revision
from ..names import TEMPLATE, TEMPLATE_OWNER
from ..schema import upgrade_schema
from ..sessions import migrator, provisioner
from ..template import exclusively_opened, mark, marked_revision
from . import fingerprint


@dataclass(frozen=True, slots=True)
class Expected:
    """The newest revision as one server's template has it."""

    revision: str
    columns: str
    shape: str


def is_prepared(platform: Platform, server: Server, folder: Path) -> bool:
    """Say whether the server's template is at the newest revision already."""
    with provisioner(platform, server) as session:
        return marked_revision(session) == newest_revision(folder)


def prepare_template(platform: Platform, server: Server, folder: Path) -> Expected:
    """Bring the server's template to the newest revision and read its fingerprints.

    Raises `UnavailableError` when the server does not answer, and what the revisions raise: then nothing has changed.
    """
    with provisioner(platform, server) as session:
        with exclusively_opened(session):
            upgrade_schema(platform, server, TEMPLATE, TEMPLATE_OWNER, folder)
            with migrator(platform, server, TEMPLATE) as inside:
                revision, columns = fingerprint.columns(inside)
                shape = fingerprint.shape(inside)
        mark(session, newest_revision(folder))
    return Expected(revision, columns, shape)
