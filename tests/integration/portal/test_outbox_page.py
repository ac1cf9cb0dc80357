"""The outbox in development: on the site of a machine's own installation, and nowhere else."""

from dataclasses import replace
from typing import Any

import pytest

from strongroom.platform.control.platform import Platform
from strongroom.platform.mail.operators import write_to
from strongroom.platform.portal.outbox.service import is_shown
from strongroom.platform.web.app import create_site
from strongroom.platform.web.permissions import Role

Portal = Any  # the fixture's class, in conftest.py


def test_an_invitation_can_be_followed_from_the_outbox(portal: Portal) -> None:
    form = {"email": "outbox@people.example", "role": "member"}
    portal.signed_in(Role.OWNER).post("/members/invite", form, form="/members/invite")
    site = portal.client(None)
    assert 'href="/outbox"' in site.get("/").text
    listed = site.get("/outbox").text
    assert "outbox@people.example" in listed
    name = listed.partition("/outbox?letter=")[2].partition('"')[0]
    page = site.get(f"/outbox?letter={name}")
    assert "/invitation/" in page.text
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page.text
    assert "frame-src 'self'" in page.headers["Content-Security-Policy"]
    framed = site.get(f"/outbox/html?letter={name}")
    assert "default-src 'none'" in framed.headers["Content-Security-Policy"]
    assert "sandbox allow-popups" in framed.headers["Content-Security-Policy"]
    assert "script-src" not in framed.headers["Content-Security-Policy"]
    assert framed.headers["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.parametrize("name", ["../keys/master", "%2e%2e%2fsecret", "x" * 200, "none", "a/b", "."])
def test_no_other_file_can_be_read(portal: Portal, name: str) -> None:
    site = portal.client(None)
    assert site.get(f"/outbox?letter={name}").status_code == 404
    assert site.get(f"/outbox/html?letter={name}").status_code == 404


def test_a_letter_without_html_is_shown_as_text(portal: Portal) -> None:
    write_to(portal.platform.settings, "ops@of.example", "alarm-plain", "<b>Late</b>", "<script>alert(1)</script>")
    page = portal.client(None).get("/outbox?letter=alarm-plain").text
    assert "&lt;script&gt;alert(1)" in page
    assert "<iframe" not in page


def test_no_workspace_and_no_foreign_name_has_it(portal: Portal) -> None:
    assert portal.signed_in(Role.OWNER).get("/outbox").status_code == 404
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1", "acme.evil.example"):
        answer = portal.app.test_client().get("/outbox", base_url=f"https://{host}")
        assert answer.status_code == 404
        assert "outbox@" not in answer.text


@pytest.mark.parametrize(
    "changed",
    [
        {"smtp_host": "smtp.example.com"},
        {"production": True},
        {"bind_host": "0.0.0.0"},
        {"bind_host": "192.168.1.10"},
        {"worker_port_base": 9000},
        {"cdn_port": 9443},
        {"base_domain": "strongroom.example"},
        {"base_domain": "notlocalhost"},
    ],
)
def test_it_is_not_there_where_others_could_see_it(platform: Platform, changed: dict[str, Any]) -> None:
    settings = replace(platform.settings, **changed)
    assert not is_shown(settings)
    site = create_site(replace(platform, settings=settings))
    client = site.test_client()
    assert client.get("/outbox", base_url="https://localhost").status_code == 404
    assert client.get("/outbox/html", base_url="https://localhost").status_code == 404
    assert 'href="/outbox"' not in client.get("/", base_url="https://localhost").text
