"""`strongroom mail`: does mail arrive, what has not gone out, send it again."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import func, update

from strongroom.platform.control.platform import Platform
from strongroom.platform.keys.fields import FieldCipher
from strongroom.platform.mail import outbox
from strongroom.platform.tenants.records import Tenant
from strongroom.tenant_schema.tables import outbox as table

AsJson = Callable[..., tuple[int, Any]]


def test_a_test_message_goes_where_mail_goes(platform: Platform, as_json: AsJson) -> None:
    code, said = as_json("mail", "test", "Somebody@People.example")
    assert code == 0
    assert said["to"] == "somebody@people.example"
    assert (platform.settings.outbox_dir / f"{said['id']}.eml").exists()
    assert as_json("mail", "test", "nobody")[0] == 2


def test_failed_mail_is_listed_without_its_address_and_sent_again(
    platform: Platform, tenant: Tenant, as_json: AsJson
) -> None:
    cipher = FieldCipher(platform.keys.tenant(tenant.id))
    with platform.registry.connect(tenant) as conn, conn.begin():
        found = outbox.queue(conn, cipher, "secretly@people.example", "x", "x")
        conn.execute(update(table).where(table.c.id == found).values(failed_at=func.now(), last_error="Refused."))
    code, rows = as_json("mail", "list", "--failed")
    assert code == 0
    (row,) = [one for one in rows if one["id"] == str(found)]
    assert (row["workspace"], row["state"], row["to"]) == (tenant.slug, "failed", "s…@people.example")
    assert as_json("mail", "retry")[0] == 2
    assert as_json("mail", "retry", str(found)) == (0, {"again": [str(found)]})
    assert as_json("mail", "retry", str(found))[0] == 3
    assert as_json("mail", "list", "--failed") == (0, [one for one in rows if one["id"] != str(found)])
