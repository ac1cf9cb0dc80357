"""Uploading receipts and looking at them in the real portal."""

import io
import re
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image, ImageDraw
from sqlalchemy import func, select

from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.queries import categories
from strongroom.tenant_schema.tables import expense_receipt, receipt

Portal = Any  # the class is in visitors.py
Browser = Any
ANY_FORM = "/expenses/new"
RECEIPT = re.compile(r'name="receipt" value="([0-9a-f-]{36})" form="expense-form"')


def photo(word: str, kind: str = "JPEG", size: tuple[int, int] = (400, 700)) -> bytes:
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((30, 30), word, fill="black")
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def upload(browser: Browser, content: bytes, name: str = "a.jpg", **fields: Any) -> Any:
    return browser.post("/receipts", fields | {"file": (io.BytesIO(content), name)}, form=ANY_FORM)


def upload_large(browser: Browser, content: bytes) -> Any:
    """The test client writes large forms to a temporary file that it does not close; so this form is made by hand."""
    head = '--edge\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
    token = head.format("csrf_token", "") + browser.token(ANY_FORM) + "\r\n"
    body = (token + head.format("file", '; filename="a.jpg"')).encode() + content + b"\r\n--edge--\r\n"
    return browser.client.post(
        "/receipts",
        input_stream=io.BytesIO(body),
        content_type="multipart/form-data; boundary=edge",
        content_length=len(body),
        base_url=browser.base,
        headers={"Referer": f"{browser.base}/"},
    )


def uploaded(browser: Browser, content: bytes, name: str = "a.jpg") -> str:
    answer = upload(browser, content, name, pane="1")
    assert answer.status_code == 200, answer.text
    return RECEIPT.findall(answer.text)[-1]


def save_with(browser: Browser, portal: Portal, *receipt_ids: str, slug: str = "acme", merchant: str = "Shop") -> Any:
    with portal.database(slug) as conn:
        category = str(categories.list_all(conn)[0].id)
    form = {"id": str(uuid4()), "merchant": merchant, "amount": "5", "currency": "GBP", "spent_on": "2024-03-12"}
    return browser.post("/expenses/new", form | {"category": category, "receipt": list(receipt_ids)}, form=ANY_FORM)


def count(portal: Portal) -> int:
    with portal.database() as conn:
        return conn.scalar(select(func.count()).select_from(receipt))


@pytest.mark.parametrize(("kind", "media_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")])
def test_an_upload_begins_an_expense_and_is_shown_beside_it(portal: Portal, kind: str, media_type: str) -> None:
    browser = portal.signed_in(Role.CONTRIBUTOR)
    answer = upload(browser, photo(kind, kind), "wrong-suffix.txt")
    assert answer.status_code == 303
    receipt_id = answer.location.partition("receipt=")[2]
    assert f"/receipts/{receipt_id}/preview" in browser.get(answer.location).text
    original = browser.get(f"/receipts/{receipt_id}/original")
    assert original.mimetype == media_type
    assert Image.open(io.BytesIO(original.data)).size == (400, 700)
    assert "wrong-suffix" in original.headers["Content-Disposition"]
    assert browser.get(f"/receipts/{receipt_id}/preview").mimetype == "image/jpeg"
    assert max(Image.open(io.BytesIO(browser.get(f"/receipts/{receipt_id}/thumbnail").data)).size) == 160


def test_receipts_are_served_so_that_nothing_in_them_can_act(portal: Portal) -> None:
    browser = portal.signed_in(Role.MEMBER)
    receipt_id = uploaded(browser, photo("inert"))
    for part in ("original", "preview", "thumbnail"):
        headers = browser.get(f"/receipts/{receipt_id}/{part}").headers
        assert "sandbox" in headers["Content-Security-Policy"]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "private, no-store"
        assert headers.getlist("Content-Security-Policy") == [headers["Content-Security-Policy"]]


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "a.svg", "SVG files are not accepted"),
        (b"<!doctype html><script>alert(1)</script>", "a.jpg", "Web pages are not accepted"),
        (photo("cut")[:900], "cut.jpg", "damaged or incomplete"),
        (b"\x89PNG\r\n\x1a\nnot really", "a.png", "is none|damaged"),
        (b"", "empty.jpg", "This file is empty"),
        (b"hello", "a.pdf", "not a JPEG, PNG, WebP or PDF"),
    ],
)
def test_what_is_no_receipt_is_refused_and_nothing_is_stored(
    portal: Portal, content: bytes, name: str, sentence: str
) -> None:
    browser = portal.signed_in(Role.MEMBER)
    held = uploaded(browser, photo("held"))
    before = count(portal)
    answer = upload(browser, content, name, pane="1", receipt=held)
    assert answer.status_code == 422
    assert re.search(sentence, answer.text)
    assert held in answer.text  # what was there stays in the form
    assert upload(browser, content, name).status_code == 422
    assert count(portal) == before


def test_21_mb_are_too_large_with_a_sentence(portal: Portal) -> None:
    browser = portal.signed_in(Role.MEMBER)
    before = count(portal)
    for size in (21, 26):
        answer = upload_large(browser, b"\xff\xd8\xff" + b"\0" * size * 1024 * 1024)
        assert answer.status_code == 413
        assert "20 MB" in answer.text
    assert count(portal) == before


def test_the_same_file_again_is_told(portal: Portal) -> None:
    browser = portal.signed_in(Role.MEMBER)
    content = photo("twice")
    first = uploaded(browser, content)
    assert save_with(browser, portal, first).status_code == 303
    again = upload(browser, content, pane="1")
    assert "You have uploaded this file before." in again.text
    assert "another expense" in again.text
    assert "You have uploaded this file before." not in upload(browser, photo("once"), pane="1").text
    other = portal.signed_in(Role.CONTRIBUTOR)
    assert "You have uploaded this file before." not in upload(other, content, pane="1").text


def test_saving_attaches_and_takes_off_receipts_in_their_order(portal: Portal) -> None:
    browser = portal.signed_in(Role.MEMBER)
    first, second = uploaded(browser, photo("1")), uploaded(browser, photo("2"))
    assert save_with(browser, portal, second, first, merchant="Two Receipts").status_code == 303
    link = re.search(r'href="(/expenses/[0-9a-f-]{36})" data-row-link', browser.get("/expenses?q=Two+Receipts").text)
    assert link
    page = browser.get(link[1]).text
    assert RECEIPT.findall(page) == [second, first]
    category = re.search(r'<option value="([^"]+)" selected', page.split('name="category"')[1])
    assert category
    form = {"merchant": "Shop", "amount": "5", "currency": "GBP", "spent_on": "2024-03-12", "category": category[1]}
    assert browser.post(link[1], form | {"version": "1", "receipt": [first]}, form=ANY_FORM).status_code == 303
    assert RECEIPT.findall(browser.get(link[1]).text) == [first]
    assert second in browser.get("/").text  # loose again, and offered on the dashboard


def test_a_receipt_is_seen_by_whoever_sees_its_expense(portal: Portal) -> None:
    browser = portal.signed_in(Role.MEMBER)
    attached, loose = uploaded(browser, photo("attached")), uploaded(browser, photo("loose"))
    assert save_with(browser, portal, attached).status_code == 303
    expected = {Role.OWNER: 200, Role.ADMIN: 200, Role.MEMBER: 200, Role.CONTRIBUTOR: 404, Role.READ_ONLY: 200}
    for role, status in expected.items():
        one = portal.signed_in(role)
        for receipt_id in (attached, loose):
            for part in ("original", "preview", "thumbnail"):
                assert one.get(f"/receipts/{receipt_id}/{part}").status_code == status, (role, part)


def test_a_receipt_of_another_workspace_does_not_exist_here(portal: Portal) -> None:
    receipt_id = uploaded(portal.signed_in(Role.OWNER), photo("acme's"))
    foreign = portal.signed_in(Role.OWNER, "birch")
    assert foreign.get(f"/receipts/{receipt_id}/original").status_code == 404
    assert foreign.get(f"/expenses/new?receipt={receipt_id}").status_code == 404
    assert save_with(foreign, portal, receipt_id, slug="birch").status_code == 404
    assert upload(foreign, photo("x"), pane="1", receipt=receipt_id).status_code == 404


def test_nobody_attaches_a_receipt_that_they_may_not_see(portal: Portal) -> None:
    receipt_id = uploaded(portal.signed_in(Role.OWNER), photo("owner's"))
    assert save_with(portal.signed_in(Role.CONTRIBUTOR), portal, receipt_id).status_code == 404
    with portal.database() as conn:
        links = conn.scalar(select(func.count()).where(expense_receipt.c.receipt_id == receipt_id))
    assert links == 0


def test_a_loose_receipt_can_be_deleted_by_its_uploader_only(portal: Portal) -> None:
    browser = portal.signed_in(Role.MEMBER)
    loose, attached = uploaded(browser, photo("to delete")), uploaded(browser, photo("to keep"))
    save_with(browser, portal, attached)
    assert portal.signed_in(Role.ADMIN).post(f"/receipts/{loose}/delete", form=ANY_FORM).status_code == 404
    assert browser.post(f"/receipts/{attached}/delete", form=ANY_FORM).status_code == 404
    assert browser.post(f"/receipts/{loose}/delete", form=ANY_FORM).status_code == 303
    assert browser.get(f"/receipts/{loose}/original").status_code == 404


def test_the_stored_bytes_and_the_row_tell_nothing(portal: Portal) -> None:
    content = photo("CANARY")
    receipt_id = uploaded(portal.signed_in(Role.MEMBER), content, "CANARY-name.jpg")
    with portal.database() as conn:
        row = conn.execute(select(receipt).where(receipt.c.id == receipt_id)).one()
    assert b"CANARY" not in row.file_name
    sealed = (portal.platform.settings.receipts_dir / row.object).read_bytes()
    assert content[:200] not in sealed
    assert b"JFIF" not in sealed
