"""Thousands of marked requests by threads, over registry and application, while everything around them breaks."""

from typing import Any

from torture import Plan, torture

from strongroom.platform.control.platform import Platform
from strongroom.provisioning.postgres.embedded import EmbeddedServer


def test_each_answer_carries_its_own_tenants_marker(
    platform: Platform, embedded_server: EmbeddedServer, tenant_factory: Any
) -> None:
    report = torture(
        platform, embedded_server.connect_admin, tenant_factory, Plan(requests=8_000, offices=7, borrowed=0.4)
    )
    assert not report.problems, str(report)
    assert report.wrong_markers == 0
    print(report)
