"""Every form and address of the portal, filled with what is valid there, and which fields its view reads."""

import io
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import select
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from strongroom.platform.keys import FieldCipher
from strongroom.platform.portal.access import links
from strongroom.platform.web import guard
from strongroom.platform.web.permissions import Role
from strongroom.platform.webhooks.signature import new_secret
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import cards, passkeys, webhooks

Portal = Any  # the class is in visitors.py
Browser = Any
# No form leads there: programs send what they sign, or a browser by itself. `tests/attack/` tries the signatures.
PROGRAMS = {"cardfeed.receive", "payments.receive", "csp_reports.take"}
PARAMETER = re.compile(r"<(?:[a-z]+:)?(\w+)>")

# Their objects cannot be the owner's: with a passkey of their own, the owner would not come in by password alone.
OF_SOMEBODY_ELSE = {"factors.rename_passkey", "factors.remove_passkey"}


@dataclass(frozen=True)
class Place:
    """A route with one of its methods, and the names of the fields of form and address that its view reads."""

    rule: Rule
    method: str
    fields: frozenset[str]

    def __str__(self) -> str:
        return f"{self.method} {self.rule.rule}"


def routes(app: Flask) -> list[tuple[Rule, str]]:
    """All routes of the application, by method."""
    rules = app.url_map.iter_rules()
    return [(rule, method) for rule in rules for method in sorted(rule.methods or ()) if method in {"GET", "POST"}]


def filled(rule: Rule, values: dict[str, str]) -> str:
    """The rule's path with these values. Raises `LookupError` for a parameter that none is for."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise LookupError(f"{rule.rule}: there is no {match[1]} here; add one to `objects_of`.")
        return values[match[1]]

    return PARAMETER.sub(value, rule.rule)


def objects_of(portal: Portal, slug: str, category: str, word: str) -> dict[str, str]:
    """A new object of every kind that a route names, by the parameter's name; `word` is in what they show."""
    owner, spender = portal.signed_in(Role.OWNER, slug), portal.signed_in(Role.MEMBER, slug)
    draft = made_expense(owner, category, word, made_receipt(owner, word))
    answer = spender.post("/expenses/submit", {"expense": made_expense(spender, category, word)}, form="/expenses/new")
    person = f"{word.lower().replace(' ', '-')}@x.example"
    invited = owner.post("/members/invite", {"email": person, "role": "member"}, form="/members/invite")
    link = re.search(r"/invitation/([\w-]{43})", invited.text)
    assert link, invited.text
    token = {"name": word, "scopes": "expenses:read", "days": "7"}
    assert owner.post("/settings/tokens/new", token, form="/settings/tokens/new").status_code == 200
    with portal.database(slug) as conn:
        api_token = conn.scalar(select(tables.api_token.c.id).order_by(tables.api_token.c.id.desc()))
        invitation = conn.scalar(select(tables.invitation.c.id).order_by(tables.invitation.c.id.desc()))
        of_owner = tables.session.c.member_id == portal.people[slug, Role.OWNER]
        session = conn.scalar(select(tables.session.c.id).where(of_owner).order_by(tables.session.c.id.desc()))
        mails = {
            f"{purpose}_token": links.make(conn, portal.people[slug, Role.CONTRIBUTOR], purpose, timedelta(days=7))
            for purpose in (links.NOT_ME, links.RESET, links.UNLOCK)
        }
    return {
        "expense_id": draft,
        "receipt_id": made_receipt(owner, word),
        "report_id": answer.location.rsplit("/", 1)[1],
        "member_id": str(portal.people[slug, Role.OWNER]),  # who cannot be removed
        "invitation_id": str(invitation),
        "session_id": str(session),
        "passkey_id": str(made_passkey(portal, slug, word)),
        **made_outside_ends(portal, slug, word),
        "category_id": category,
        "token_id": str(api_token),
        "token": link[1],
        **mails,
        "asked": "x",  # the assets' version and name are the same for everybody
        "name": "app.css",
    }


def named(objects: dict[str, str]) -> dict[str, str]:
    """The ids of `objects` under every name that a form or an address could have for them."""
    short = {name.removesuffix("_id"): value for name, value in objects.items() if name.endswith("_id")}
    also = {"approver": objects["member_id"], "object": objects["receipt_id"], "id": objects["expense_id"]}
    return {name: value for name, value in objects.items() if name not in ("asked", "name")} | short | also


def typed(portal: Portal) -> dict[str, str]:
    """Valid words for the fields that are no ids; but none that would change who somebody is."""
    expense = {"id": str(uuid4()), "merchant": "x", "amount": "1", "currency": "GBP", "spent_on": "2024-03-12"}
    return expense | {
        "version": "1",
        "scopes": "expenses:read",
        "days": "7",
        "email": portal.email(Role.OWNER),
        "password": portal.password,
    }


def picture() -> bytes:
    """A small receipt."""
    out = io.BytesIO()
    Image.new("RGB", (40, 40), "white").save(out, "PNG")
    return out.getvalue()


def made_receipt(browser: Browser, word: str) -> str:
    """Upload a receipt; its id."""
    file = {"file": (io.BytesIO(picture()), f"{word}.png"), "pane": "1"}
    answer = browser.post("/receipts", file, form="/expenses/new")
    return re.findall(r'name="receipt" value="([0-9a-f-]{36})"', answer.text)[-1]


def made_expense(browser: Browser, category: str, word: str, receipt: str | None = None) -> str:
    """Save a draft; its id."""
    form: dict[str, Any] = {"id": str(uuid4()), "merchant": word, "amount": "7", "currency": "GBP"}
    form |= {"spent_on": "2024-03-12", "category": category} | ({"receipt": receipt} if receipt else {})
    answer = browser.post("/expenses/new", form, form="/expenses/new")
    assert answer.status_code == 303, answer.text
    return form["id"]


def made_passkey(portal: Portal, slug: str, word: str) -> UUID:
    """Give a passkey to the contributor, who is not asked for it here; its id."""
    keys = portal.platform.keys.tenant(portal.workspaces[slug].id)
    row_id, name = new_uuid7(), tables.passkey.c.name
    row = {"id": row_id, "member_id": portal.people[slug, Role.CONTRIBUTOR], "credential_id": row_id.bytes}
    with portal.database(slug) as conn:
        passkeys.add(conn, row | {"public_key": b"", "name": FieldCipher(keys).seal(name, row_id, word)})
    return row_id


def made_outside_ends(portal: Portal, slug: str, word: str) -> dict[str, str]:
    """A webhook endpoint with a delivery that waits, and a card, by the names of the parameters."""
    cipher, columns = FieldCipher(portal.platform.keys.tenant(portal.workspaces[slug].id)), tables.webhook_endpoint.c
    endpoint, event, card, owner = new_uuid7(), new_uuid7(), new_uuid7(), portal.people[slug, Role.OWNER]
    words = {columns.url: f"https://example.com/{endpoint}", columns.description: word, columns.secret: new_secret()}
    sealed = {column.name: cipher.seal(column, endpoint, text) for column, text in words.items()}
    with portal.database(slug) as conn:
        webhooks.insert_endpoint(conn, {"id": endpoint, "created_by": owner, "events": ["report.paid"]} | sealed)
        payload = cipher.seal(tables.webhook_event.c.payload, event, "{}")
        webhooks.insert_event(conn, event, "report.paid", payload)
        webhooks.insert_deliveries(conn, event, [endpoint])
        delivery = conn.scalar(select(tables.webhook_delivery.c.id).where(tables.webhook_delivery.c.event_id == event))
        cards.add(conn, card_id=card, member_id=owner, token=f"card_{card}", brand="Visa", last_four="1111")
    return {"endpoint_id": str(endpoint), "delivery_id": str(delivery), "card_id": str(card)}


def a_category(portal: Portal, slug: str) -> str:
    """One that the workspace began with."""
    with portal.database(slug) as conn:
        return str(conn.scalar(select(tables.category.c.id).where(tables.category.c.active)))


def places_of(portal: Portal, slug: str, *methods: str) -> list[Place]:
    """Every route of the workspace with these methods, tried once with a valid form, to see which fields are read."""
    found, objects = list[Place](), dict[str, str]()
    for rule, method in routes(portal.app):
        if rule.endpoint == guard.STATIC or rule.endpoint in PROGRAMS or method not in methods:
            continue
        objects = objects or objects_of(portal, slug, a_category(portal, slug), "Tried")
        send = prepared(portal, slug, rule, method, objects)
        with pytest.MonkeyPatch.context() as patch:
            read = _listen(portal.app, patch)
            answer = send()
        assert answer.status_code < 500, (rule.rule, answer.status_code)
        assert answer.status_code not in (400, 404) or rule.endpoint in OF_SOMEBODY_ELSE, (
            rule.rule,
            answer.status_code,
        )
        if method == "POST" and answer.status_code < 400:
            objects = {}  # it may have used one up
        found.append(Place(rule, method, frozenset(read)))
    return found


def prepared(
    portal: Portal,
    slug: str,
    rule: Rule,
    method: str,
    objects: dict[str, str],
    only: Collection[str] | None = None,
    **changed: str,
) -> Callable[[], TestResponse]:
    """A request of the owner that is valid but for `changed`, with these fields `only`; to be sent by calling it."""
    browser, path = portal.signed_in(Role.OWNER, slug), filled(rule, objects)
    if method == "GET":
        return lambda: browser.client.get(path, base_url=browser.base, query_string=changed)
    form = named(objects) | typed(portal) | {"file": (io.BytesIO(picture()), "a.png")} | changed
    chosen = {name: value for name, value in form.items() if only is None or name in only}
    token = browser.token("/expenses/new")
    return lambda: browser.post_bare(path, chosen | {"csrf_token": token})


def _listen(app: Flask, patch: pytest.MonkeyPatch) -> set[str]:
    """A set that fills with the names of the fields that the application asks its requests for."""
    read: set[str] = set()

    class Listening(ImmutableMultiDict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            read.add(key)
            return super().__getitem__(key)

        def __contains__(self, key: object) -> bool:
            read.add(str(key))
            return super().__contains__(key)

        def get(self, key: str, *arguments: Any, **named: Any) -> Any:
            read.add(key)
            return super().get(key, *arguments, **named)

        def getlist(self, key: str, *arguments: Any, **named: Any) -> list[Any]:
            read.add(key)
            return super().getlist(key, *arguments, **named)

    patch.setattr(app.request_class, "parameter_storage_class", Listening)
    return read
