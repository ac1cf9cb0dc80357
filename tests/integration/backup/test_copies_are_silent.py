"""A copy of a workspace tells nobody anything and takes nothing: receivers and processors know the original."""

import pytest
from sqlalchemy import func, select

from strongroom.backup import runs
from strongroom.backup.clone import Wish, clone
from strongroom.backup.restore import restore
from strongroom.platform.keys import FieldCipher
from strongroom.platform.webhooks.events import emit
from strongroom.platform.webhooks.signature import new_secret
from strongroom.tenant_schema import tables as t
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import cards, webhooks


@pytest.fixture
def talkative(platform, workspace):
    """A workspace with a webhook, a message that waits, and a card feed."""
    cipher, row_id, secret = FieldCipher(platform.keys.tenant(workspace.id)), new_uuid7(), new_secret()
    c = t.webhook_endpoint.c
    endpoint = {
        "id": row_id,
        "url": cipher.seal(c.url, row_id, "https://hooks.customer.example/"),
        "description": cipher.seal(c.description, row_id, ""),
        "events": ["report.paid"],
        "secret": cipher.seal(c.secret, row_id, secret),
        "created_by": workspace.member_id,
    }
    with platform.registry.connect(workspace.tenant()) as conn, conn.begin():
        webhooks.insert_endpoint(conn, endpoint)
        emit(conn, cipher, "report.paid", {"report_id": "1"})
        sealed = cipher.seal(t.card_feed.c.secret, row_id, secret)
        cards.start_feed(conn, {"id": row_id, "secret": sealed, "created_by": workspace.member_id})
    return workspace


def found(platform, workspace):
    """Of the only endpoint why it is paused, the state of its message, and whether there is a card feed."""
    with platform.registry.connect(workspace.tenant()) as conn, conn.begin():
        (endpoint,) = webhooks.endpoints(conn)
        state = conn.scalar(select(t.webhook_delivery.c.state))
        feeds = conn.scalar(select(func.count()).select_from(t.card_feed))
        assert webhooks.claim(conn, 60) is None or state == "waiting"
    return endpoint.pause_reason, state, feeds


def test_a_clone_is_silent_and_the_original_is_not(platform, talkative) -> None:
    copy = talkative.named("copy", clone(platform, talkative.slug, Wish(f"c-{new_uuid7().hex[8:20]}")).tenant.id)
    assert found(platform, copy) == ("copied", "cancelled", 0)
    assert found(platform, talkative) == (None, "waiting", 1)
    cipher = FieldCipher(platform.keys.tenant(copy.id))
    with platform.registry.connect(copy.tenant()) as conn, conn.begin():
        (endpoint,) = webhooks.endpoints(conn)
        event = conn.execute(select(t.webhook_event.c.id, t.webhook_event.c.payload)).one()
    assert cipher.open(t.webhook_endpoint.c.url, endpoint.id, endpoint.url) == "https://hooks.customer.example/"
    assert "report.paid" in cipher.open(t.webhook_event.c.payload, *event)


def test_a_backup_restored_as_another_workspace_is_silent_and_in_place_sends_nothing_again(
    platform, scratch, talkative
) -> None:
    runs.run_many(platform, [talkative.id], scratch=scratch)
    done = restore(platform, talkative.slug, as_slug=f"r-{new_uuid7().hex[8:20]}")
    assert found(platform, talkative.named("copy", done.tenant.id)) == ("copied", "cancelled", 0)
    restore(platform, talkative.slug)
    assert found(platform, talkative) == (None, "cancelled", 1)
