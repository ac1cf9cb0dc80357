"""One running service and one Chromium for all tests here; each test gets browsers and workspaces of its own."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from flask import Flask
from live_service import LiveService, live_service
from playwright.sync_api import Browser, expect
from sample_data import Workspace, busy_workspace, fresh_workspace
from watched_browser import Visitors, Watch, chromium

from strongroom.config.settings import SETTINGS_FILE, load_settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.web.app import create_app
from strongroom.platform.web.tls import ensure_certificates, tls_files
from strongroom.provisioning.demo.source import SHIPPED
from strongroom.provisioning.postgres.embedded import EmbeddedServer

expect.set_options(timeout=60_000)  # a slow machine is no fault of a page

HERE = Path(__file__).parent
SHARED_RECEIPTS = HERE.parents[1].parent / "shared" / "data" / "receipts"
FRESH = [f"fresh-{number}" for number in range(60)]
BUSY, NEIGHBOUR = "harbour-studio", "birch"


@pytest.fixture(scope="session")
def service(reachable_tmp: Path) -> Generator[LiveService]:
    """`strongroom up`, with nothing in it yet."""
    home = reachable_tmp / f"browser-{new_id()}" / "home"
    home.mkdir(parents=True)
    (home / SETTINGS_FILE).write_text("bcrypt_cost = 4\n", encoding="utf-8")
    # Known from the start, because each new name in the certificate makes the web processes start anew.
    ensure_certificates(load_settings(home), [BUSY, NEIGHBOUR, *FRESH])
    with live_service(home) as running:
        yield running
    EmbeddedServer(running.settings).stop()  # has ended with `up`, unless `up` had to be killed


@pytest.fixture(scope="session")
def office(service: LiveService) -> Generator[Platform]:
    """The same platform from the inside, to prepare workspaces and to look at what pages have done."""
    with open_platform(service.settings) as platform:
        yield platform


@pytest.fixture(scope="session")
def busy(office: Platform) -> Workspace:
    """A workspace with a year of spending. Tests only look at it."""
    return busy_workspace(office)


@pytest.fixture(scope="session")
def neighbour(office: Platform) -> Workspace:
    """Another customer's workspace, with an expense in it. Tests only look at it, from outside."""
    return fresh_workspace(office, NEIGHBOUR, "Birch & Daughters")


@pytest.fixture(scope="session")
def _slugs() -> Iterator[str]:
    return iter(FRESH)


@pytest.fixture
def workspace(office: Platform, _slugs: Iterator[str]) -> Workspace:
    """A fresh workspace with a member of each role and no expense."""
    return fresh_workspace(office, next(_slugs))


@pytest.fixture(scope="session")
def browser(service: LiveService) -> Generator[Browser]:
    """Chromium."""
    with chromium(tls_files(service.settings).server) as running:
        yield running


@pytest.fixture
def watch() -> Generator[Watch]:
    """Fails the test if a page of it did what no page may do. `watch.expect(404)` where a test provokes an answer."""
    watched = Watch()
    yield watched
    assert not watched.problems, "\n".join(watched.problems)


@pytest.fixture
def visitors(browser: Browser, watch: Watch) -> Generator[Visitors]:
    """Opens browsers for the people of a test."""
    opened = Visitors(browser, watch)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def portal(office: Platform) -> Flask:
    """The application, for its list of pages."""
    return create_app(office)


@pytest.fixture(scope="session")
def receipt() -> Path:
    """A real receipt: of the data beside the project, else of those that the project ships."""
    folder = SHARED_RECEIPTS if SHARED_RECEIPTS.is_dir() else SHIPPED / "receipts"
    return min(folder.glob("*.jpg"))
