"""A whole platform for tests: a home of its own with a real PostgreSQL, one per test process, nothing left behind."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import debian_server
import hypothesis
import pytest
from disposable_server import WITHOUT_ARCHIVE, disposable_server
from xdist.scheduler import LoadScopeScheduling  # pyright: ignore[reportMissingTypeStubs]

from strongroom.config.settings import SETTINGS_FILE, Settings, load_settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.create import provision, request_tenant
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.postgres.locks import FileLock, exclusive
from strongroom.provisioning.postgres.scratch import sweep

# A busy machine makes no example wrong.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")

TenantFactory = Callable[..., Tenant]
HomeFactory = Callable[[], Path]

_PREFIX = "strongroom-test-"
# Enough to hash, too little to wait for; no port that all would share. Read by the processes that tests start, too.
_TEST_SETTINGS = "bcrypt_cost = 4\nmetrics_port = 0\nspare_databases = 0\ncheckout_timeout = 20\n"


# What looks at every workspace begins before there are many; then what takes longest, so that no worker is left with
# it at the end.
_EARLY = (
    "tests/attack/test_erased_account.py",
    "tests/integration/webhooks/test_webhook_worker.py",
    "tests/attack/test_isolation_gate.py",
    "tests/integration/cli/test_up.py",
    "tests/integration/portal/forms/",
    "tests/integration/backup/archive/",
    "tests/integration/backup/recovery/",
    "tests/attack/backups/",
    "tests/integration/fleet/",
    "tests/integration/pooler/",
    "tests/integration/project/test_restore_from_nothing.py",
    "tests/integration/backup/",
    "tests/integration/cli/",
    "tests/attack/",
    "tests/integration/postgres/",
    "tests/integration/provisioning/",
    "tests/integration/servers/",
    "tests/integration/proxy/",
    "tests/integration/",
    "tests/browser/test_every_page.py",
    "tests/browser/test_spending.py",
    "tests/browser/test_webhooks_and_cards.py",
    "tests/browser/test_mishaps.py",
)
# Folders whose modules share what is made once for a process.
_SHARED = re.compile(r"tests/integration/(backup/archive|backup/recovery|portal/forms)/")


class ModulesTogether(LoadScopeScheduling):
    """Gives a module to one worker, so that what its tests share is made once; and some folders likewise.

    The mark `xdist_group` says the same and has no effect with pytest 9.2 (pytest-xdist issue 1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        folder = _SHARED.match(nodeid)
        return folder[0] if folder else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ModulesTogether:
    """Tell pytest-xdist how to divide the tests between the workers."""
    return ModulesTogether(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put some modules first; the others stay in their order."""
    items.sort(key=lambda item: next((n for n, it in enumerate(_EARLY) if item.nodeid.startswith(it)), len(_EARLY)))


@pytest.fixture(scope="session")
def reachable_tmp() -> Generator[Path]:
    """A folder that PostgreSQL's account can enter: pytest's own temporary folders are closed to it under root."""
    _remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))
    in_use = FileLock(folder / "in-use")
    in_use.take()
    folder.chmod(0o755)
    yield folder
    _remove(folder)
    in_use.close()


@pytest.fixture(scope="session")
def settings(reachable_tmp: Path) -> Settings:
    """Settings of the home that this process's tests share."""
    return load_settings(_home(reachable_tmp / "shared"))


@pytest.fixture(scope="session")
def embedded_server(settings: Settings) -> Generator[EmbeddedServer]:
    """The shared home's PostgreSQL, set up and running."""
    with disposable_server(settings, WITHOUT_ARCHIVE) as server:
        with server.admin_door():  # tests look on, and break things, as the superuser
            yield server


@pytest.fixture(scope="session")
def platform(settings: Settings, embedded_server: EmbeddedServer) -> Generator[Platform]:
    """The shared platform: real key store, control database and registry."""
    with open_platform(settings) as opened:
        yield opened


@pytest.fixture(scope="session")
def external_server(platform: Platform, reachable_tmp: Path) -> Generator[debian_server.DebianServer]:
    """Debian's PostgreSQL, taken into service by the shared platform in the region `debian_server.REGION`.

    Only for tests that are not collected where it is not installed (`debian_server.is_installed`).
    """
    started = debian_server.start(reachable_tmp)
    try:
        debian_server.take_into_service(platform, started)
        yield started
    finally:
        started.cluster.stop()


@pytest.fixture(scope="session")
def tenant_factory(platform: Platform) -> TenantFactory:
    """Make an active workspace: `tenant_factory()`, or with slug, name, owner_email, plan, region."""

    def make(slug: str | None = None, **wanted: str) -> Tenant:
        slug = slug or f"w-{new_id()}"
        asked = {"name": slug.title(), "owner_email": f"owner@{slug}.example", "plan": "pro", "region": "uk"} | wanted
        with platform.control.begin() as conn:
            tenant = request_tenant(conn, platform.settings, platform.keys, slug=slug, **asked)
        return provision(platform, tenant.id)

    return make


@pytest.fixture(scope="session")
def portal(platform: Platform, tenant_factory: TenantFactory) -> Any:
    """The portal in front of some workspaces that all tests of this process share: `visitors.Portal`."""
    from visitors import open_portal  # no test without a page waits for the web framework

    return open_portal(platform, tenant_factory)


@pytest.fixture
def tenant(tenant_factory: TenantFactory) -> Tenant:
    """A fresh active workspace."""
    return tenant_factory()


@pytest.fixture
def home(reachable_tmp: Path) -> Generator[Path]:
    """A fresh home, not set up, for tests that start, break or kill their own server."""
    folder = _home(reachable_tmp / f"own-{new_id()}")
    yield folder
    if (folder / "postgres").exists():
        _stop_servers(folder)
    shutil.rmtree(folder.parent)


def _home(parent: Path) -> Path:
    """Make a home whose sibling folders (backups) are in `parent` as well."""
    home = parent / "home"
    home.mkdir(parents=True)
    (home / SETTINGS_FILE).write_text(_TEST_SETTINGS, encoding="utf-8")
    return home


def _stop_servers(home: Path) -> None:
    server = EmbeddedServer(load_settings(home))
    server.stop()
    with exclusive(server.start_lock):
        sweep(server)


def _remove_leftovers() -> None:
    """Stop and remove what test runs left that were killed; other workers of this run do the same at this moment."""
    for folder in Path("/tmp").glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError):
            _remove_if_left_over(folder)


def _remove_if_left_over(folder: Path) -> None:
    about = folder.stat()
    if about.st_uid != os.geteuid() or not about.st_mode & 0o001:  # another user's, or being made or removed
        return
    lock = FileLock(folder / "in-use")
    if lock.try_take():
        debian_server.stop_left_over(folder)
        for data in (*folder.glob("*/postgres"), *folder.glob("*/*/postgres")):
            _stop_servers(data.parent)
        _remove(folder)
    lock.close()


def _remove(folder: Path) -> None:
    folder.chmod(0o700)  # nobody else clears it from here on
    subprocess.run(["rm", "-rf", "--", folder], check=True)  # a third of the time that Python takes for so many files
