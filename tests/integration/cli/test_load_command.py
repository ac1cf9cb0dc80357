import pytest
from sqlalchemy import func, select

from strongroom.platform.keys import FieldCipher
from strongroom.provisioning.demo.source import SHIPPED
from strongroom.tenant_schema.queries import members
from strongroom.tenant_schema.tables import expense, member, receipt

GOOD = """date,merchant,amount,category,receipt
2024-03-01,Lantern Bistro,48.90,Meals,000.jpg
2024-03-02,Hotel,100.00,Travel,
"""


def count(platform, tenant, table):
    with platform.registry.connect(tenant) as conn, conn.begin():
        return conn.scalar(select(func.count()).select_from(table))


@pytest.fixture
def csv(tmp_path):
    def write(text):
        path = tmp_path / "expenses.csv"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_a_file_is_loaded_with_its_receipts_for_the_owner_to_be(as_json, platform, tenant, csv):
    code, report = as_json("tenant", "load", tenant.slug, csv(GOOD), "--receipts", str(SHIPPED / "receipts"))
    assert code == 0
    assert (report["imported"], report["receipts"], report["rejected"]) == (2, 1, [])
    assert count(platform, tenant, expense) == 2
    assert count(platform, tenant, receipt) == 1
    with platform.registry.connect(tenant) as conn, conn.begin():
        (owner,) = members.list_active(conn)
        cipher = FieldCipher(platform.keys.tenant(tenant.id))
        assert cipher.open(member.c.email, owner.id, owner.email) == f"owner@{tenant.slug}.example"
        assert owner.password_hash is None


def test_one_wrong_row_and_nothing_is_loaded(as_json, platform, tenant, csv):
    code, report = as_json(
        "tenant", "load", tenant.slug, csv(GOOD.replace(",000.jpg", ",") + "yesterday,X,NaN,Travel,\n")
    )
    assert code == 2
    assert report["imported"] == 0
    assert [row["line"] for row in report["rejected"]] == [4]
    assert count(platform, tenant, expense) == 0


def test_people_see_the_wrong_rows_and_one_sentence(strongroom, tenant, csv):
    code, out, err = strongroom("tenant", "load", tenant.slug, csv("date,merchant,amount\nyesterday,X,1\n"))
    assert code == 2
    assert out.startswith("line 2: ")
    assert "nothing was loaded" in err


def test_the_member_must_be_one(as_json, tenant, csv):
    assert as_json("tenant", "load", tenant.slug, csv(GOOD), "--member", "nobody@there.example")[0] == 3


def test_a_file_that_is_not_there_is_a_wrong_call(as_json, tenant):
    assert as_json("tenant", "load", tenant.slug, "/no/such/file.csv")[0] == 2


def test_a_suspended_workspace_takes_nothing(as_json, tenant, csv):
    as_json("tenant", "suspend", tenant.slug, "--yes")
    assert as_json("tenant", "load", tenant.slug, csv(GOOD))[0] == 4
