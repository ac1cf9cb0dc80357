"""A workspace of a test module's own, and a member of each test's."""

from collections.abc import Callable
from typing import Any

import pytest
from account_holders import Person, Workspace

from strongroom.platform.tenants.records import Tenant

Portal = Any  # the fixture's class, in tests/conftest.py


@pytest.fixture(scope="module")
def workspace(portal: Portal, tenant_factory: Callable[..., Tenant]) -> Workspace:
    return Workspace(portal.platform, portal.app, tenant_factory(name="Own"))


@pytest.fixture
def ada(workspace: Workspace) -> Person:
    return workspace.join()
