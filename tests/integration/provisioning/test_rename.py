"""A workspace with a new address keeps everything but the old address, which is nobody's at once."""

import pytest

from strongroom.config.errors import CallError, NotFoundError, RefusedError, UnknownHostError
from strongroom.platform.audit import queries as operators_audit
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning import lifecycle
from strongroom.provisioning.rename import rename
from strongroom.tenant_schema.tables import audit_event


def host(platform: Platform, slug: str) -> str:
    return f"{slug}.{platform.settings.base_domain}"


def test_every_process_answers_at_the_new_address_only(platform: Platform, tenant: Tenant) -> None:
    new_slug = f"r-{new_id()}"
    with open_platform(platform.settings) as other:  # a process that knows the old address
        for one in (platform, other):
            assert one.registry.resolve(host(platform, tenant.slug)).id == tenant.id
        renamed = rename(platform, tenant.slug, new_slug, "olga")
        assert (renamed.id, renamed.slug, renamed.placement_id) == (tenant.id, new_slug, tenant.placement_id)
        for one in (platform, other):
            with pytest.raises(UnknownHostError):
                one.registry.resolve(host(platform, tenant.slug))
            with one.registry.connect(one.registry.resolve(host(platform, new_slug))) as conn:
                assert conn.exec_driver_sql("SELECT current_database()").scalar_one() == tenant.database


def test_both_audit_logs_tell_of_it(platform: Platform, tenant: Tenant) -> None:
    new_slug = f"r-{new_id()}"
    renamed = rename(platform, tenant.slug, new_slug, "olga")
    with platform.control.connect() as conn:
        entry = operators_audit.newest(conn, 1, tenant.id)[0]
    with platform.registry.connect(renamed) as conn:
        own = conn.execute(audit_event.select().where(audit_event.c.action == "workspace.renamed")).one()
    assert (entry.operator, entry.action) == ("olga", "tenant.renamed")
    assert entry.detail == own.detail == {"from": tenant.slug, "to": new_slug}


def test_a_taken_or_reserved_address_is_refused_and_nothing_changes(platform: Platform, tenant_factory) -> None:
    one, another = tenant_factory(), tenant_factory()
    for slug, error in ((another.slug, RefusedError), ("admin", CallError), ("No Slug", CallError)):
        with pytest.raises(error):
            rename(platform, one.slug, slug, "olga")
    with pytest.raises(NotFoundError):
        rename(platform, "nobody-here", "somebody-here", "olga")
    assert platform.registry.resolve(host(platform, one.slug)).generation == one.generation
    with platform.registry.connect(one) as conn:
        own = audit_event.select().where(audit_event.c.action == "workspace.renamed")
        assert conn.execute(own).all() == []


def test_a_suspended_workspace_can_be_renamed_and_stays_suspended(platform: Platform, tenant: Tenant) -> None:
    lifecycle.suspend(platform, tenant)
    assert rename(platform, tenant.slug, f"r-{new_id()}", "olga").state == "suspended"
