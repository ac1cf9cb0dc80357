"""A home of its own: these tests raise the schema's revision, which all other tests must not see."""

import shutil
import textwrap
from collections.abc import Callable, Generator
from itertools import count
from pathlib import Path

import pytest
from disposable_server import WITHOUT_ARCHIVE, disposable_server

from strongroom.config.settings import Settings, load_settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.servers import queries as servers
from strongroom.platform.servers.records import Server
from strongroom.tenant_schema.migrate import REVISIONS, newest_revision

REVISION = """
from alembic import op
import sqlalchemy as sa

revision = "{revision}"
down_revision = "{before}"
needs_python = {needs_python}

def upgrade():
{body}
"""
Raise = Callable[..., Path]


@pytest.fixture(scope="module")
def fleet_settings(reachable_tmp: Path) -> Generator[Settings]:
    home = reachable_tmp / "fleet" / "home"
    home.mkdir(parents=True)
    settings = load_settings(home, bcrypt_cost=4, spare_databases=0)
    with disposable_server(settings, WITHOUT_ARCHIVE):
        yield settings
    shutil.rmtree(home.parent)


@pytest.fixture(scope="module")
def platform(fleet_settings: Settings) -> Generator[Platform]:
    with open_platform(fleet_settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(platform: Platform) -> Server:
    with platform.control.connect() as conn:
        return servers.list_all(conn)[0]


@pytest.fixture(scope="module")
def revisions(reachable_tmp: Path) -> Raise:
    """Adds a revision to those that there are: `revisions("op.execute(…)")` returns the folder with all of them."""
    folders, numbers = [REVISIONS], count(1)

    def add(body: str, *, needs_python: bool = False) -> Path:
        before = newest_revision(folders[-1])
        folder = reachable_tmp / f"revisions-{next(numbers)}"
        shutil.copytree(folders[-1], folder, ignore=shutil.ignore_patterns("__pycache__"))
        revision = f"{int(before) + 1:04}"
        text = REVISION.format(
            revision=revision, before=before, needs_python=needs_python, body=textwrap.indent(body, "    ")
        )
        (folder / "versions" / f"test_{revision}.py").write_text(text, encoding="utf-8")
        folders.append(folder)
        return folder

    return add
