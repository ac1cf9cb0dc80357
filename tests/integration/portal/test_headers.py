"""The headers that every response carries, whatever it is."""

from typing import Any

import pytest

from strongroom.platform.web.permissions import Role

Portal = Any  # the class is in visitors.py

EVERYWHERE = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@pytest.mark.parametrize(
    ("workspace", "path", "status"),
    [
        ("acme", "/sign-in", 200),
        ("acme", "/members", 303),
        ("acme", "/nothing/here", 404),
        ("acme", "/static/old/strongroom.css", 200),
        ("acme", "/static/old/missing.css", 404),
        (None, "/", 200),
        (None, "/members", 404),
    ],
)
def test_every_response_has_them(portal: Portal, workspace: str | None, path: str, status: int) -> None:
    answer = portal.client(workspace).get(path)
    assert answer.status_code == status
    assert EVERYWHERE.items() <= dict(answer.headers).items()
    assert_strict(answer.headers["Content-Security-Policy"])


def test_so_has_an_error_of_ours(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise ZeroDivisionError("the secret of the cellar")

    browser = portal.signed_in(Role.OWNER)
    view = portal.app.view_functions["members.index"]
    broken.strongroom_needs = view.strongroom_needs  # type: ignore[attr-defined]
    monkeypatch.setitem(portal.app.view_functions, "members.index", broken)
    answer = browser.get("/members")
    assert answer.status_code == 500
    assert EVERYWHERE.items() <= dict(answer.headers).items()
    assert "cellar" not in answer.text
    assert "Traceback" not in answer.text


def test_the_nonce_is_new_with_each_response(portal: Portal) -> None:
    policies = {portal.client().get("/sign-in").headers["Content-Security-Policy"] for _ in range(5)}
    assert len(policies) == 5


def test_pages_are_not_kept_and_static_files_are(portal: Portal) -> None:
    browser = portal.client()
    page = browser.get("/sign-in")
    assert page.headers["Cache-Control"] == "no-store"
    style = next(part for part in page.text.split('"') if part.endswith("strongroom.css"))
    kept = browser.get(style, headers={"Accept-Encoding": "gzip"})
    assert kept.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert kept.headers["Content-Encoding"] == "gzip"
    assert browser.get("/static/0123456789ab/strongroom.css").headers["Cache-Control"] == "no-cache"


def test_an_unknown_host_learns_nothing(portal: Portal) -> None:
    browser = portal.client()
    for path in ("/", "/sign-in", "/members"):
        pages = set()
        for host in ("nobody-there.localhost", "a.b.localhost", "localhost.evil.example"):
            answer = browser.client.get(path, base_url=f"https://{host}")
            assert answer.status_code == 404
            assert "Set-Cookie" not in answer.headers
            pages.add(answer.text.split("</head>")[1])
        assert len(pages) == 1


def test_a_path_out_of_the_static_folder_is_not_served(portal: Portal) -> None:
    for path in ("/static/x/../app.py", "/static/x/%2e%2e/app.py", "/static/x/vendor/update.sh"):
        assert portal.client().get(path).status_code == 404


def test_no_page_has_inline_script_or_style(portal: Portal) -> None:
    browser = portal.signed_in(Role.OWNER)
    for path in ("/", "/members", "/members/invite", "/settings/profile", "/settings/backups", "/expenses"):
        text = browser.get(path).text
        assert " style=" not in text, path
        assert "<style" not in text, path
        assert " onclick=" not in text, path
        assert text.count("<script") == text.count("<script src=") + text.count('<script type="application/json"'), path


def assert_strict(policy: str) -> None:
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["frame-ancestors"] == "'none'"
    assert rules["form-action"] == "'self'"
    assert rules["base-uri"] == "'none'"
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "*" not in policy
    assert rules["script-src"].startswith("'self' 'nonce-")
