"""New devices and new countries: each alone, both, neither, and the first sign-in ever."""

from account_holders import DEVICE, FRANCE, GERMANY, PRIVATE, Window, Workspace
from sqlalchemy import update

from strongroom.tenant_schema.tables import audit_event, device, session


def test_the_first_sign_in_ever_is_not_told(workspace: Workspace) -> None:
    ada = workspace.join()
    ada.sign_in(GERMANY)
    assert ada.mails() == []
    (only,) = ada.rows(device)
    (begun,) = ada.rows(session)
    assert (only.country, begun.country, begun.device_id, begun.method) == ("DE", "DE", only.id, "password")


def test_the_same_device_in_the_same_country_is_not_told(workspace: Workspace) -> None:
    ada = workspace.join()
    window = ada.sign_in(GERMANY)
    ada.sign_in("193.99.144.81", window)
    assert ada.mails() == []
    assert len(ada.rows(device)) == 1
    assert len({one.device_id for one in ada.rows(session)}) == 1


def test_a_new_device_alone_is_told(workspace: Workspace) -> None:
    ada = workspace.join()
    ada.sign_in(GERMANY)
    ada.sign_in(GERMANY)
    (mail,) = ada.mails()
    assert mail.subject == "New sign-in to Own"
    assert "from a device that you have not used there before." in mail.body
    assert "country" not in mail.body
    assert "Where: 193.99.144.80, Germany\n" in mail.body
    assert "Device: Firefox on Windows\n" in mail.body
    assert mail.link.startswith("/not-me/")


def test_a_new_country_alone_is_told(workspace: Workspace) -> None:
    ada = workspace.join()
    window = ada.sign_in(GERMANY)
    ada.sign_in(FRANCE, window)
    (mail,) = ada.mails()
    assert mail.subject == "Sign-in to Own from another country"
    assert "France" in mail.body
    ada.sign_in(GERMANY, window)
    ada.sign_in(FRANCE, window)
    assert len(ada.mails()) == 1  # both are known by now


def test_a_new_device_in_a_new_country_is_told_once(workspace: Workspace) -> None:
    ada = workspace.join()
    ada.sign_in(GERMANY)
    ada.sign_in(FRANCE)
    (mail,) = ada.mails()
    assert mail.subject == "New sign-in to Own"
    assert "and from a country that you have not signed in from before" in mail.body


def test_an_unknown_country_is_not_a_new_one(workspace: Workspace) -> None:
    ada = workspace.join()
    window = ada.sign_in(GERMANY)
    ada.sign_in(PRIVATE, window)
    assert ada.mails() == []


def test_where_no_country_is_known_yet_the_first_one_is_not_told(workspace: Workspace) -> None:
    ada = workspace.join()
    window = ada.sign_in(PRIVATE)
    ada.sign_in(GERMANY, window)
    assert ada.mails() == []


def test_the_listener_behind_a_cdn_says_the_country(workspace: Workspace) -> None:
    ada = workspace.join()
    window = ada.sign_in(GERMANY)
    ada.sign_in(GERMANY, window)
    environ = {"REMOTE_ADDR": GERMANY, "strongroom.country": "PT"}
    window._environ = lambda: environ  # type: ignore[method-assign]
    ada.sign_in(GERMANY, window)
    (mail,) = ada.mails()
    assert "Portugal" in mail.body


def test_another_member_in_the_same_browser_has_a_device_of_their_own(workspace: Workspace) -> None:
    ada, bob = workspace.join(), workspace.join()
    bob.sign_in(GERMANY)
    window = ada.sign_in(GERMANY)
    token = window.cookie(DEVICE)
    bob.sign_in(GERMANY, window)
    assert window.cookie(DEVICE) == token
    assert [mail.subject for mail in bob.mails()] == ["New sign-in to Own"]
    ada.sign_in(GERMANY, window)
    assert ada.mails() == []


def test_the_device_cookie_is_bound_to_host_and_https_and_kept_400_days(workspace: Workspace) -> None:
    window = Window.open(workspace)
    answer = window.try_to_sign_in(workspace.join().email)
    cookie = next(one for one in answer.headers.getlist("Set-Cookie") if one.startswith(f"{DEVICE}="))
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=34560000"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert len(cookie.split("=")[1].split(";")[0]) == 43  # 256 bits


def test_a_failed_sign_in_leaves_no_device(workspace: Workspace) -> None:
    ada, window = workspace.join(), Window.open(workspace)
    answer = window.try_to_sign_in(ada.email, "not the password")
    assert answer.status_code == 401
    assert window.cookie(DEVICE) is None
    assert ada.rows(device) == []


def test_the_database_knows_only_the_hash_of_the_device(workspace: Workspace) -> None:
    ada = workspace.join()
    token = ada.sign_in().cookie(DEVICE)
    assert token
    (only,) = ada.rows(device)
    assert token.encode() not in only.token_hash + only.user_agent
    assert b"Firefox" not in only.user_agent


def test_a_device_whose_session_was_ended_is_new_again(workspace: Workspace) -> None:
    ada = workspace.join()
    here, there = ada.sign_in(GERMANY), ada.sign_in(GERMANY)
    other = ada.rows(session)[-1]
    assert here.post(f"/settings/sessions/{other.id}/end", form="/settings/profile").status_code == 303
    assert there.status() == 401
    ada.sign_in(GERMANY, here)
    assert len(ada.mails()) == 1
    ada.sign_in(GERMANY, there)
    assert len(ada.mails()) == 2


def test_ending_all_others_forgets_their_devices_and_not_this_one(workspace: Workspace) -> None:
    ada = workspace.join()
    here, others = ada.sign_in(), [ada.sign_in(), ada.sign_in()]
    assert "End all other sessions (2)" in here.get("/settings/sessions").text
    assert here.post("/settings/sessions/end-others", form="/settings/sessions").status_code == 303
    assert "2 other sessions ended." in here.get("/settings/sessions").text
    assert [one.status() for one in (here, *others)] == [200, 401, 401]
    assert len(ada.rows(device)) == 1
    assert "End all other" not in here.get("/settings/sessions").text


def test_the_list_says_device_place_and_method(workspace: Workspace) -> None:
    text = workspace.join().sign_in(GERMANY).get("/settings/sessions").text
    for word in ("Firefox on Windows", "Germany", "193.99.144.80", "Password", "This session"):
        assert word in text


def test_the_audit_log_says_that_the_device_was_new_and_not_where(workspace: Workspace) -> None:
    ada = workspace.join()
    ada.sign_in(GERMANY, ada.sign_in(GERMANY))
    with workspace.database() as conn:
        rows = conn.execute(audit_event.select().where(audit_event.c.actor_id == ada.id)).all()
    assert [row.detail["new_device"] for row in rows] == [True, False]
    assert "193.99" not in str(rows)


def test_a_country_is_remembered_by_the_device_when_the_session_is_forgotten(workspace: Workspace) -> None:
    ada = workspace.join()
    window = ada.sign_in(GERMANY)
    with workspace.database() as conn:
        conn.execute(update(session).where(session.c.member_id == ada.id).values(country=None))
    ada.sign_in(FRANCE, window)
    assert len(ada.mails()) == 1
