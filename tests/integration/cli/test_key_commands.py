"""`key rotate` replaces a login under the requests that use it, and says so to the operators' audit."""

import threading

import psycopg
import pytest

from strongroom.platform.audit import queries as audit
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
    assert (code, out, "SLUG" in err, len(err.splitlines())) == (2, "", True, 1)
    assert strongroom("key", "rotate", "nobody-has-this")[0] == 3


def test_its_help_has_an_example(strongroom) -> None:
    code, out, _ = strongroom("key", "rotate", "--help")
    assert (code, "strongroom key rotate acme" in out) == (0, True)
