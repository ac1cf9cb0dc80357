import json

import pypdfium2
import pytest
from sqlalchemy import select

from strongroom.platform.keys import FieldCipher
from strongroom.tenant_schema import tables as t
from strongroom.tenant_schema.ids import new_uuid7


def test_an_account_is_erased_and_its_certificate_shown_written_and_checked(as_json, strongroom, tenant, tmp_path):
    code, document = as_json("tenant", "erase", tenant.slug, "--yes")
    assert (code, document["account"]["slug"]) == (0, tenant.slug)
    assert as_json("tenant", "show", tenant.slug)[0] == 3
    code, shown = as_json("tenant", "show", tenant.id)
    assert (code, shown["state"], shown["database"], shown["url"]) == (0, "erased", None, None)
    assert tenant.id not in {one["id"] for one in as_json("tenant", "list")[1]}
    assert tenant.id in {one["id"] for one in as_json("tenant", "list", "--all")[1]}

    pdf, path = tmp_path / "erased.pdf", tmp_path / "erased.json"
    code, out, _ = strongroom("tenant", "certificate", tenant.id, "--pdf", str(pdf))
    assert code == 0
    assert document["number"] in out
    assert document["number"] in pypdfium2.PdfDocument(pdf)[0].get_textpage().get_text_bounded()
    code, again = as_json("tenant", "certificate", tenant.slug)  # by the slug that it had
    assert (code, again) == (0, document)

    path.write_text(json.dumps(document))
    assert strongroom("tenant", "certificate", "--verify", str(path))[0] == 0
    path.write_text(json.dumps(document | {"databases": []}))
    assert strongroom("tenant", "certificate", "--verify", str(path))[0] == 5
    path.write_text("no JSON")
    assert strongroom("tenant", "certificate", "--verify", str(path))[0] == 2

    assert as_json("tenant", "erase", tenant.id, "--yes") == (0, document)
    assert as_json("tenant", "erase", tenant.slug, "--yes")[0] == 3


def test_erasing_needs_yes_or_the_typed_name(strongroom, tenant, monkeypatch):
    assert strongroom("tenant", "erase", tenant.slug)[0] == 2
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("click.prompt", lambda *_, **__: "another")
    assert strongroom("tenant", "erase", tenant.slug)[0] == 2
    assert strongroom("tenant", "show", tenant.slug)[0] == 0
    monkeypatch.setattr("click.prompt", lambda *_, **__: tenant.slug)
    assert strongroom("tenant", "erase", tenant.slug)[0] == 0


def test_there_is_no_certificate_of_what_is_not_erased(strongroom, tenant):
    assert strongroom("tenant", "certificate", tenant.slug)[0] == 3
    assert strongroom("tenant", "certificate", "nobody")[0] == 3
    assert strongroom("tenant", "erase", "nobody", "--yes")[0] == 3


@pytest.mark.parametrize("arguments", [(), ("x", "--verify", __file__)])
def test_it_must_be_said_which_certificate(strongroom, arguments):
    assert strongroom("tenant", "certificate", *arguments)[0] == 2


def test_a_person_is_forgotten(as_json, strongroom, tenant, platform):
    cipher, member_id = FieldCipher(platform.keys.tenant(tenant.id)), new_uuid7()
    with platform.registry.connect(tenant) as conn, conn.begin():
        conn.execute(
            t.member.insert().values(
                id=member_id,
                email=cipher.seal(t.member.c.email, member_id, "zoe@example.com"),
                email_index=cipher.blind(t.member.c.email_index, "zoe@example.com"),
                name=cipher.seal(t.member.c.name, member_id, "Zoe Zander"),
                role="member",
            )
        )
    assert strongroom("tenant", "forget", tenant.slug, "zoe@example.com")[0] == 2
    code, done = as_json("tenant", "forget", tenant.slug, "zoe@example.com", "--yes")
    assert (code, done["members"]) == (0, [str(member_id)])
    with platform.registry.connect(tenant) as conn, conn.begin():
        name = conn.scalar(select(t.member.c.name).where(t.member.c.id == member_id))
    assert cipher.open(t.member.c.name, member_id, name) == "Erased member"
    assert strongroom("tenant", "forget", tenant.slug, "zoe@example.com", "--yes")[0] == 3
