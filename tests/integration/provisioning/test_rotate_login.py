"""The login of a tenant's database can be replaced while it is in use, by nobody but the tenant's own role."""

import threading
from dataclasses import replace

import psycopg
import pytest

from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.keys import DatabaseCredential
from strongroom.platform.servers import queries as servers
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning import rotate
from strongroom.provisioning.names import Names
from strongroom.provisioning.placements import make_roles
from strongroom.provisioning.rotate import rotate_login
from strongroom.provisioning.sessions import provisioner


def logs_in(platform: Platform, tenant: Tenant, credential: DatabaseCredential) -> bool:
    with platform.control.connect() as conn:
        server = servers.by_name(conn, tenant.server)
    try:
        with psycopg.connect(**server.conninfo_params(tenant.database), **credential.conninfo_params()):
            return True
    except psycopg.OperationalError:
        return False


def pid(tenant: Tenant) -> str:
    assert tenant.placement_id
    return tenant.placement_id


def test_only_the_new_login_works_afterwards(platform: Platform, tenant: Tenant) -> None:
    old = platform.keys.placement(pid(tenant))
    rotated = rotate_login(platform, tenant)
    new = platform.keys.placement(pid(tenant))
    assert (logs_in(platform, tenant, old), logs_in(platform, tenant, new)) == (False, True)
    assert rotated.generation > tenant.generation
    assert platform.keys.placement_logins(pid(tenant)) == [new]
    with platform.control.connect() as conn:
        server = servers.by_name(conn, tenant.server)
    with provisioner(platform, server) as session:
        make_roles(platform, session, Names(pid(tenant)))  # whoever repairs knows the new one


def test_while_one_is_replaced_the_present_one_is_tried_first(platform: Platform, tenant: Tenant) -> None:
    present, coming = platform.keys.begin_rotation(pid(tenant))
    # The other way round, the server could go from one to the other between the two tries.
    assert platform.keys.placement_logins(pid(tenant)) == [present, coming]


def test_no_request_fails_while_logins_are_replaced(platform: Platform, tenant: Tenant) -> None:
    stop, failures = threading.Event(), list[Exception]()
    answers = [list[str]() for _ in range(4)]  # of each thread
    with open_platform(replace(platform.settings, connections_per_tenant=2)) as other:

        def ask(registry, mine: list[str]) -> None:
            while not stop.is_set():
                try:
                    current = registry.resolve(f"{tenant.slug}.{platform.settings.base_domain}")
                    with registry.connect(current) as conn:
                        mine.append(conn.exec_driver_sql("SELECT current_database()").scalar_one())
                    registry.forget(current)  # the next one logs in again
                except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                    failures.append(error)

        registries = [one.registry for one in (platform, other, platform, other)]
        threads = [threading.Thread(target=ask, args=pair) for pair in zip(registries, answers, strict=True)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            rotate_login(platform, tenant)
            seen = [len(mine) for mine in answers]
            # Each has logged in with this one before the next comes: a thread may sleep for long on a busy machine.
            while not failures and any(len(mine) < before + 5 for mine, before in zip(answers, seen, strict=True)):
                stop.wait(0.01)
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert {name for mine in answers for name in mine} == {tenant.database}


def test_a_login_that_is_replaced_while_it_is_being_tried_is_followed(
    platform: Platform, tenant: Tenant, monkeypatch
) -> None:
    old = platform.keys.placement(pid(tenant))
    current, rotations = rotate_login(platform, tenant), list[Tenant]()
    with open_platform(platform.settings) as other:
        read = other.keys.placement_logins

        def outdated_at_once(placement_id: str) -> list[DatabaseCredential]:
            logins = read(placement_id)
            if not rotations:
                rotations.append(rotate_login(platform, tenant))
            return logins

        monkeypatch.setattr(other.keys, "placement", lambda _: old)
        monkeypatch.setattr(other.keys, "placement_logins", outdated_at_once)
        with other.registry.connect(current) as conn:
            assert conn.exec_driver_sql("SELECT current_database()").scalar_one() == tenant.database
    assert rotations


@pytest.mark.parametrize("moment", ["_set_verifier", "end_rotation"])
def test_a_killed_rotation_stops_nobody_and_is_finished(
    platform: Platform, tenant: Tenant, monkeypatch, moment
) -> None:
    old = platform.keys.placement(pid(tenant))

    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(*((rotate, moment) if moment == "_set_verifier" else (type(platform.keys), moment)), killed)
        with pytest.raises(KeyboardInterrupt):
            rotate_login(platform, tenant)
    with open_platform(platform.settings) as other:
        with other.registry.connect(other.registry.tenant_by_id(tenant.id)) as conn:
            assert conn.exec_driver_sql("SELECT current_database()").scalar_one() == tenant.database
    rotate_login(platform, tenant)
    assert not logs_in(platform, tenant, old)
    assert logs_in(platform, tenant, platform.keys.placement(pid(tenant)))


def test_the_second_copy_of_the_keys_follows(platform: Platform, tenant: Tenant) -> None:
    rotate_login(platform, tenant)
    path = platform.settings.keys_dir / "placement" / f"{pid(tenant)}.json"
    before = platform.keys.placement(pid(tenant))
    path.unlink()
    platform.keys.recover()
    assert platform.keys.placement(pid(tenant)) == before
