"""A workspace's card feed: only its own processor, now, and once, makes an expense; no card number is kept."""

import json
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from member_rows import add_member
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from strongroom.platform.control.platform import Platform
from strongroom.platform.keys.fields import FieldCipher
from strongroom.platform.portal.cardfeed.tasks import book_card_payments, find_card_payments
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.app import create_app
from strongroom.platform.webhooks.signature import new_secret, sign
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import cards
from strongroom.tenant_schema.queries.cards import Incoming

FULL_NUMBER = "4111111111111111"
PAID = {"card": "card_olga", "amount": "12.50", "currency": "GBP", "merchant": "Corner Café", "date": "2024-03-12"}


@dataclass
class Feed:
    """A workspace whose member Olga has a card, and its feed."""

    platform: Platform
    tenant: Tenant
    app: Any
    key: str
    olga: UUID

    def post(self, body: str, headers: dict[str, str], path: str = "/hooks/cards") -> TestResponse:
        base = f"https://{self.tenant.slug}.localhost"
        return self.app.test_client().post(path, data=body, headers=headers, base_url=base)

    def send(self, name: str, *, key: str | None = None, off: float = 0.0, **changed: object) -> TestResponse:
        body = message(**changed)
        return self.post(body, sign([key or self.key], name, datetime.now(UTC) + timedelta(seconds=off), body))

    def work(self) -> None:
        book_card_payments(self.platform, self.tenant.id)

    def expenses(self) -> list[Any]:
        with self.platform.registry.connect(self.tenant) as conn, conn.begin():
            return list(conn.execute(select(tables.expense)))

    def events(self) -> list[Incoming]:
        with self.platform.registry.connect(self.tenant) as conn, conn.begin():
            return cards.newest(conn, 100)


def message(**changed: object) -> str:
    return json.dumps({"type": "transaction.created", "data": PAID | changed})


@pytest.fixture(scope="module")
def app(platform: Platform) -> Any:
    return create_app(platform)


def _feed(platform: Platform, tenant: Tenant, app: Any) -> Feed:
    cipher, feed_id, key = FieldCipher(platform.keys.tenant(tenant.id)), new_uuid7(), new_secret()
    with platform.registry.connect(tenant) as conn, conn.begin():
        olga = add_member(conn, cipher, "olga@people.example", "Olga")
        sealed = cipher.seal(tables.card_feed.c.secret, feed_id, key)
        cards.start_feed(conn, {"id": feed_id, "secret": sealed, "created_by": olga})
        cards.add(conn, card_id=new_uuid7(), member_id=olga, token="card_olga", brand="Visa", last_four="1111")
    return Feed(platform, tenant, app, key, olga)


@pytest.fixture(scope="module")
def rooms(platform: Platform, tenant_factory: Callable[..., Tenant], app: Any) -> tuple[Feed, Feed]:
    return _feed(platform, tenant_factory(), app), _feed(platform, tenant_factory(), app)


@pytest.fixture
def feed(rooms: tuple[Feed, Feed]) -> Generator[Feed]:
    """A feed that has sent nothing."""
    yield rooms[0]
    with rooms[0].platform.registry.connect(rooms[0].tenant) as conn, conn.begin():
        for table in (tables.incoming_event, tables.expense):
            conn.execute(table.delete())


def test_a_payment_becomes_a_draft_of_its_holder_once(feed: Feed) -> None:
    assert feed.send("txn_1").status_code == 202
    assert feed.expenses() == []  # stored before it is acknowledged, booked by the worker
    feed.work()
    feed.work()
    (one,) = feed.expenses()
    assert (one.member_id, one.state, one.amount, one.currency) == (feed.olga, "draft", Decimal("12.50"), "GBP")
    assert (one.merchant, one.spent_on.isoformat()) == ("Corner Café", "2024-03-12")
    assert feed.events()[0].expense_id == one.id


def test_a_refund_is_negative(feed: Feed) -> None:
    feed.send("txn_back", amount="-3.10")
    feed.work()
    assert feed.expenses()[0].amount == Decimal("-3.10")


@pytest.mark.parametrize("off", [-301, 320])
def test_a_message_from_another_time_is_refused(feed: Feed, off: int) -> None:
    assert feed.send("txn_time", off=off).status_code == 401
    assert feed.events() == []


def test_the_key_of_another_workspace_does_not_fit(rooms: tuple[Feed, Feed], feed: Feed) -> None:
    other = rooms[1]
    assert feed.send("txn_theirs", key=other.key).status_code == 401
    body = message()
    headers = sign([other.key], "txn_here", datetime.now(UTC), body)
    assert other.post(body, headers).status_code == 202
    assert feed.post(body, headers).status_code == 401
    assert feed.events() == []


def test_a_replay_is_refused_and_a_repetition_makes_no_second_expense(feed: Feed) -> None:
    body, now = message(), datetime.now(UTC)
    headers = sign([feed.key], "txn_twice", now, body)
    assert feed.post(body, headers).status_code == 202
    feed.work()
    assert feed.post(body, headers).status_code == 401
    assert feed.post(body, sign([feed.key], "txn_twice", now + timedelta(seconds=2), body)).status_code == 202
    feed.work()
    assert len(feed.expenses()) == 1


def test_the_same_message_at_once_from_everywhere_makes_one_expense(feed: Feed) -> None:
    body = message()
    headers = sign([feed.key], "txn_flood", datetime.now(UTC), body)
    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(lambda _: feed.post(body, headers).status_code, range(12)))
        list(pool.map(lambda _: feed.work(), range(4)))
    assert sorted(statuses) == [202] + [401] * 11
    assert len(feed.expenses()) == 1


@pytest.mark.parametrize("signature", ["v1,***", "", "v1,AAAA", "v1"])
def test_a_signature_that_is_none_is_refused(feed: Feed, signature: str) -> None:
    body = message()
    headers = sign([feed.key], "txn_odd", datetime.now(UTC), body) | {"webhook-signature": signature}
    assert feed.post(body, headers).status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"card": FULL_NUMBER},
        {"card": "4111-1111-1111-1111"},
        {"card": ""},
        {"amount": "0"},
        {"amount": 12.5},
        {"amount": "1e3"},
        {"amount": "12.505"},
        {"currency": "XXX"},
        {"merchant": " "},
        {"merchant": "x" * 501},
        {"date": "12/03/2024"},
        {"date": "0001-01-01"},
    ],
)
def test_a_payment_that_cannot_be_one_is_not_stored(feed: Feed, wrong: dict[str, object]) -> None:
    answer = feed.send("txn_wrong", **wrong)
    assert answer.status_code == 422
    assert feed.events() == []
    assert FULL_NUMBER not in answer.text


def test_a_card_number_in_the_merchant_s_name_is_masked_before_it_is_stored(feed: Feed) -> None:
    feed.send("txn_number", merchant=f"Shop {FULL_NUMBER}", number=FULL_NUMBER)
    feed.work()
    assert feed.expenses()[0].merchant == "Shop •••• 1111"
    event = feed.events()[0]
    cipher = FieldCipher(feed.platform.keys.tenant(feed.tenant.id))
    assert FULL_NUMBER not in cipher.open(tables.incoming_event.c.payload, event.id, event.payload)
    with feed.platform.registry.connect(feed.tenant) as conn, conn.begin():
        raw = conn.execute(text("SELECT payload FROM app.incoming_event")).scalar_one()
    assert b"Shop" not in bytes(raw)


def test_an_unknown_card_s_payment_waits_for_somebody_to_look(feed: Feed) -> None:
    feed.send("txn_unknown", card="card_nobody")
    feed.work()
    assert feed.expenses() == []
    error = feed.events()[0].error
    assert error is not None
    assert error.startswith("No member has this card")
    with feed.platform.registry.connect(feed.tenant) as conn, conn.begin():
        cards.add(conn, card_id=new_uuid7(), member_id=feed.olga, token="card_nobody", brand="Visa", last_four="2222")
        assert cards.retry(conn) == 1
    find_card_payments(feed.platform)
    feed.work()
    assert len(feed.expenses()) == 1


def test_a_currency_without_a_rate_makes_no_guess(feed: Feed) -> None:
    feed.send("txn_yen", amount="1200", currency="JPY")
    feed.work()
    assert feed.expenses() == []
    assert "No exchange rate for JPY" in (feed.events()[0].error or "")


def test_one_bad_payment_does_not_hold_up_the_others(feed: Feed) -> None:
    feed.send("txn_first", card="card_gone")
    feed.send("txn_second")
    feed.work()
    assert len(feed.expenses()) == 1


def test_a_draft_that_is_deleted_does_not_come_back(feed: Feed) -> None:
    feed.send("txn_deleted")
    feed.work()
    with feed.platform.registry.connect(feed.tenant) as conn, conn.begin():
        conn.execute(tables.expense.delete())
        cards.retry(conn)
    feed.work()
    assert feed.expenses() == []


def test_during_a_rotation_both_keys_count_and_then_one(feed: Feed) -> None:
    cipher, new = FieldCipher(feed.platform.keys.tenant(feed.tenant.id)), new_secret()
    c = tables.card_feed.c
    with feed.platform.registry.connect(feed.tenant) as conn, conn.begin():
        row = cards.feed(conn)
        assert row is not None
        until = datetime.now(UTC) + timedelta(hours=1)
        both = {
            "secret": cipher.seal(c.secret, row.id, new),
            "previous_secret": cipher.seal(c.previous_secret, row.id, feed.key),
            "previous_until": until,
        }
        cards.change_feed(conn, row.id, both)
    assert feed.send("txn_new", key=new).status_code == 202
    assert feed.send("txn_old").status_code == 202
    with feed.platform.registry.connect(feed.tenant) as conn, conn.begin():
        cards.change_feed(conn, row.id, {"previous_until": datetime.now(UTC)})
    assert feed.send("txn_late").status_code == 401
    with feed.platform.registry.connect(feed.tenant) as conn, conn.begin():
        cards.change_feed(conn, row.id, {"secret": cipher.seal(c.secret, row.id, feed.key)})


def test_without_a_feed_there_is_no_such_door(feed: Feed, tenant: Tenant, app: Any) -> None:
    body = message()
    headers = sign([feed.key], "txn_none", datetime.now(UTC), body)
    assert Feed(feed.platform, tenant, app, feed.key, feed.olga).post(body, headers).status_code == 404
    assert feed.post(body, headers, "/hooks/payments").status_code == 404


def test_other_types_are_acknowledged_and_ignored(feed: Feed) -> None:
    body = json.dumps({"type": "card.frozen", "data": {"number": FULL_NUMBER}})
    assert feed.post(body, sign([feed.key], "evt_1", datetime.now(UTC), body)).status_code == 202
    assert feed.events() == []
