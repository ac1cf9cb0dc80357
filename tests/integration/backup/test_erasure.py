"""An account is erased to the end, whoever is killed on the way, and a certificate says what was destroyed."""

import json
from dataclasses import replace

import pypdfium2
import pytest
from sqlalchemy import func, select

from strongroom.backup import names
from strongroom.backup.erasure import erase as erasing
from strongroom.backup.erasure.certificate import verify
from strongroom.backup.erasure.erase import certificate_of, erase
from strongroom.backup.erasure.pdf import render
from strongroom.backup.erasure.records import Certificate
from strongroom.backup.restore import restore
from strongroom.backup.runs import run_backup
from strongroom.backup.stores.opening import open_store
from strongroom.config.errors import (
    KeyMissingError,
    NotFoundError,
    RefusedError,
    UnknownHostError,
    VerificationError,
)
from strongroom.platform.control.tables import backup as backup_table
from strongroom.platform.control.tables import erasure as erasure_table
from strongroom.platform.keys.blobs import open_blobs
from strongroom.platform.tenants import placements
from strongroom.platform.tenants import queries as tenants
from strongroom.platform.tenants.records import PlacementState
from strongroom.platform.tenants.requests import request_tenant
from strongroom.platform.tenants.states import TenantState


def text_of(pdf: bytes) -> str:
    document = pypdfium2.PdfDocument(pdf)
    return "".join(page.get_textpage().get_text_bounded() for page in document)


def test_an_erased_account_leaves_nothing_and_a_certificate_names_it_all(platform, workspace) -> None:
    first = run_backup(platform, workspace.id)
    restore(platform, workspace.slug)  # a second, retired database
    before = workspace.tenant()
    with platform.control.connect() as conn:
        pids = [one.id for one in placements.of_tenant(conn, workspace.id)]
    receipts = [one.name for one in open_blobs(platform.settings).list(workspace.id)]
    assert len(pids) == len(receipts) == 2

    certificate = erase(platform, workspace.slug, "olga")

    document = certificate.document
    assert document["account"] | {"created_at": ""} == {
        "id": workspace.id,
        "slug": workspace.slug,
        "name": "Canary Ltd",
        "plan": "free",
        "region": "uk",
        "created_at": "",
    }
    assert document["operator"] == "olga"
    assert {one["database"] for one in document["databases"]} == {f"t_{pid}" for pid in pids}
    assert {(one["kind"], one["id"]) for one in document["keys"]} == {
        ("tenant", workspace.id),
        *(("placement", pid) for pid in pids),
    }
    (store,) = document["stores"]
    listed = {one["object"]: one for one in store["objects"]}
    assert listed[first.object]["sha256"] == first.sha256
    assert listed[first.object]["bytes"] == first.size
    assert names.descriptor_object(first.object) in listed
    assert store["receipts"]["count"] == 2
    assert {one["object"] for one in document["receipts"]["objects"]} == set(receipts)
    assert [step["step"] for step in document["steps"]] == [name for name, _, _ in erasing.STEPS]

    assert list(open_store(platform.settings).list(names.folder(workspace.id))) == []
    assert list(open_blobs(platform.settings).list(workspace.id)) == []
    with pytest.raises(KeyMissingError):
        platform.keys.tenant(workspace.id)
    with platform.control.connect() as conn:
        assert {one.state for one in placements.of_tenant(conn, workspace.id)} == {PlacementState.DROPPED}
        gone = tenants.by_id(conn, workspace.id)
        rows = select(func.count()).where(backup_table.c.tenant_id == workspace.id)
        assert conn.scalar(rows) == 0
    assert (gone.state, gone.slug, gone.name, gone.placement_id) == (TenantState.ERASED, workspace.id, "", None)
    with pytest.raises(UnknownHostError):
        platform.registry.resolve(f"{before.slug}.localhost")


def test_a_certificate_is_verified_and_a_changed_one_is_not(platform, workspace, another) -> None:
    certificate = erase(platform, workspace.slug, "olga")
    keys = platform.keys.platform()
    written = json.loads(json.dumps(dict(certificate.document)))
    assert verify(written, keys).number == certificate.number
    changed = written | {"operator": "somebody else"}
    with pytest.raises(VerificationError, match="was changed"):
        verify(changed, keys)
    with pytest.raises(VerificationError, match="was changed"):
        verify(written, replace(keys, signing=bytes(32)))
    with pytest.raises(VerificationError, match="not an erasure certificate"):
        verify([1], keys)
    unsigned = {name: value for name, value in written.items() if name != "signature"}
    with pytest.raises(VerificationError, match="no signature"):
        verify(unsigned, keys)


def test_the_certificate_on_paper_names_every_object_and_counts_its_pages(platform, workspace) -> None:
    run_backup(platform, workspace.id)
    document = json.loads(json.dumps(dict(erase(platform, workspace.slug, "olga").document)))
    (store,) = document["stores"]
    many = [{"object": f"tenants/x/receipts/ab/{n:064x}", "bytes": n, "kind": "receipt"} for n in range(500)]
    store["receipts"] = {"count": 500, "objects": many}
    pdf = render(Certificate(document))
    text = "".join(text_of(pdf).split())
    for one in (*store["objects"], *many):
        assert str(one["object"]).rpartition("/")[2] in text
    assert all(one["sha256"] in text for one in store["objects"])
    assert all(one["database"] in text for one in document["databases"])
    assert document["signature"]["value"] in text
    pages = len(pypdfium2.PdfDocument(pdf))
    assert pages > 5
    assert f"Page{pages}of{pages}" in text


def test_a_name_that_the_font_lacks_is_still_told(platform, workspace) -> None:
    document = json.loads(json.dumps(dict(erase(platform, workspace.slug, "olga").document)))
    document["account"]["name"] = "Łódź <株> & Co"
    text = text_of(render(Certificate(document)))
    assert "\\u682a> & Co" in text


def test_the_address_is_taken_until_the_end_and_free_afterwards(platform, workspace, monkeypatch) -> None:
    asked = {"name": "Next Ltd", "owner_email": "next@example.com", "slug": workspace.slug}
    interrupt(monkeypatch, "keys")
    with pytest.raises(InterruptedError):
        erase(platform, workspace.slug, "olga")
    with platform.control.begin() as conn, pytest.raises(RefusedError, match="is taken"):
        request_tenant(conn, platform.settings, platform.keys, **asked)
    with pytest.raises(UnknownHostError):
        platform.registry.resolve(f"{workspace.slug}.localhost")
    monkeypatch.undo()
    erase(platform, workspace.slug, "olga")
    with platform.control.begin() as conn:
        assert request_tenant(conn, platform.settings, platform.keys, **asked).id != workspace.id
        conn.rollback()


def test_an_account_is_erased_once_and_asking_again_shows_the_certificate(platform, workspace) -> None:
    certificate = erase(platform, workspace.slug, "olga")
    with pytest.raises(NotFoundError):
        erase(platform, workspace.slug, "olga")
    assert erase(platform, workspace.id, "oscar").document == certificate.document
    shown = certificate_of(platform, workspace.id)
    assert shown is not None
    assert verify(dict(shown.document), platform.keys.platform()) == certificate
    with platform.control.connect() as conn:
        assert conn.scalar(select(erasure_table.c.detail).where(erasure_table.c.tenant_id == workspace.id)) == {}


def interrupt(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the step of that name fail before it does anything."""

    def fail(_work: object) -> None:
        raise InterruptedError

    steps = tuple((one, title, fail if one == name else step) for one, title, step in erasing.STEPS)
    monkeypatch.setattr(erasing, "STEPS", steps)
