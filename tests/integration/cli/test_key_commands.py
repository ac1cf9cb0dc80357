"""`key rotate` replaces a login under the requests that use it, and says so to the operators' audit."""

import base64
import threading

import psycopg
import pytest
from member_rows import add_member

from strongroom.platform.audit import queries as audit
from strongroom.platform.keys import FieldCipher, hash_password, verify_password
from strongroom.platform.servers import queries as servers


@pytest.fixture
def asking(platform, tenant):
    """Requests one after the other, each over a new connection, until the test ends: (answers, failures)."""
    stop, answers, failures = threading.Event(), [], []

    def ask():
        while not stop.is_set():
            try:
                current = platform.registry.resolve(f"{tenant.slug}.{platform.settings.base_domain}")
                with platform.registry.connect(current) as conn:
                    answers.append(conn.exec_driver_sql("SELECT current_database()").scalar_one())
                platform.registry.forget(current)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    yield answers, failures
    stop.set()
    thread.join()


def wait_for_more(answers, failures):
    """Return when requests that began after this call were answered."""
    seen = len(answers)
    while len(answers) < seen + 2 and not failures:
        threading.Event().wait(0.01)


def test_requests_go_on_and_the_old_login_is_refused(as_json, platform, tenant, asking) -> None:
    old = platform.keys.placement(tenant.placement_id)
    wait_for_more(*asking)
    code, row = as_json("key", "rotate", tenant.slug)
    wait_for_more(*asking)
    answers, failures = asking
    assert (code, row["id"], row["state"]) == (0, tenant.id, "active")
    assert (set(answers), failures) == ({tenant.database}, [])
    with platform.control.connect() as conn:
        server = servers.by_name(conn, tenant.server)
        [entry] = audit.newest(conn, 1, tenant.id)
    assert entry.action == "tenant.login_rotated"
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(**server.conninfo_params(tenant.database), **old.conninfo_params())


def test_a_wrong_call_is_one_sentence(strongroom) -> None:
    code, out, err = strongroom("key", "rotate")
    assert (code, out, "--pepper" in err, len(err.splitlines())) == (2, "", True, 1)
    assert strongroom("key", "rotate", "nobody-has-this")[0] == 3


def test_a_fresh_pepper_leaves_the_earlier_one_until_it_is_retired(as_json, strongroom, platform, tenant) -> None:
    before = as_json("key", "rotate", "--pepper")[1]["pepper"]  # one that no other test's members have
    stored = hash_password("correct horse", platform.keys.platform().pepper, 4)
    put_member(platform, tenant, stored)
    code, row = as_json("key", "rotate", "--pepper")
    assert (code, row["earlier_peppers"][-1]) == (0, before)
    assert row["pepper"] != before
    status = as_json("key", "status", "--members")[1]
    assert (status["pepper"], status["earlier_peppers"]) == (row["pepper"], row["earlier_peppers"])
    assert status["members_of_earlier_peppers"][before] == 1
    code, _, err = strongroom("key", "rotate", "--retire-pepper", before)
    assert (code, "choose a new password" in err) == (2, True)
    keys = platform.keys.platform()
    assert verify_password("correct horse", stored, keys.pepper, keys.earlier_peppers, 4)
    code, row = as_json("key", "rotate", "--retire-pepper", before, "--yes")
    assert (code, before in row["earlier_peppers"]) == (0, False)
    keys = platform.keys.platform()
    assert not verify_password("correct horse", stored, keys.pepper, keys.earlier_peppers, 4)
    with platform.control.connect() as conn:
        assert {entry.action for entry in audit.newest(conn, 2)} == {"keys.pepper_rotated", "keys.pepper_retired"}


def test_no_pepper_is_printed(strongroom, platform) -> None:
    said = str([strongroom("key", "rotate", "--pepper"), strongroom("-v", "key", "status")])
    keys = platform.keys.platform()
    for secret in (keys.pepper, *keys.earlier_peppers):
        assert base64.b64encode(secret).decode() not in said and secret.hex() not in said


@pytest.mark.parametrize("more", [["--pepper"], ["--retire-pepper", "00000000"]])
def test_one_thing_is_rotated_at_a_time(strongroom, more) -> None:
    assert strongroom("key", "rotate", "acme", *more)[0] == 2


def test_a_pepper_that_is_none_is_named(strongroom) -> None:
    assert strongroom("key", "rotate", "--retire-pepper", "00000000", "--yes")[0] == 3


def put_member(platform, tenant, stored) -> None:
    with platform.registry.connect(tenant) as conn, conn.begin():
        add_member(conn, FieldCipher(platform.keys.tenant(tenant.id)), password_hash=stored)


def test_its_help_has_an_example(strongroom) -> None:
    code, out, _ = strongroom("key", "rotate", "--help")
    assert (code, "strongroom key rotate acme" in out) == (0, True)
