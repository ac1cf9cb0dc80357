"""Whatever is A's, presented at B: refused on every route there is, nothing of A shown, and noted in B's audit log.

The routes are those of `url_map`, filled with A's objects by the names of their parameters. A route with a parameter
that no object below has a value for fails `test_every_parameter_…`: give `Loot` such an object.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from filled_forms import PROGRAMS, Place, a_category, filled, named, objects_of, prepared, routes, typed
from flask import Flask
from sqlalchemy import insert, select
from werkzeug.test import TestResponse

from strongroom.platform.web import guard, limits, refusals
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.ids import new_uuid7

Portal = Any  # the class is in visitors.py
Browser = Any
A, B = "rowan", "maple"
CANARY = "Canary of Rowan"
SECRET = "canary-of-rowan"  # in an e-mail address
WORDS = {
    *("csrf_token", "next", "pane", "then", "version", "file", "q"),
    *("email", "password", "old_password", "name", "role", "was", "stays", "self_approval", "reason"),
    *("code", "credential", "kept", "back", "use", "end_others"),
    *("scopes", "days"),
    *("url", "description", "events", "since", "brand", "last_four"),
    *("spent_on", "merchant", "amount", "refund", "currency", "tax_amount", "fx_rate", "note"),
}  # fields that are no ids
MEANS_NOTHING = {
    ("cards.add", "token"),  # a word of the card's processor, not a link of ours
    ("expenses.create", "id"),  # the form names what it makes; the same id in another database is another expense
}
NAMED_TODAY = {
    *(("expenses.create", "category"), ("expenses.create", "receipt"), ("receipts.upload", "receipt")),
    *(("expenses.change", "category"), ("expenses.change", "receipt"), ("receipts.upload", "expense")),
    ("reports.submit", "expense"),
    *(("members.save", "approver"), ("members.remove", "approver"), ("members.transfer.start", "member")),
}
ID_ELSEWHERE = {"after", "before"}  # a place in a list, which is never looked up


@dataclass
class Loot:
    """What somebody has carried away from A. `values` by the name of the route's parameter."""

    values: dict[str, str]
    session: str
    form_cookie: str
    form_token: str
    cursor: str

    @property
    def fields(self) -> dict[str, str]:
        """A's ids under every name that a form or an address could have for them."""
        return named(self.values)


@dataclass
class Watch:
    """B's audit log, from one look to the next."""

    portal: Portal
    seen: set[UUID] = field(default_factory=set[UUID])

    def new(self) -> list[tuple[str, dict[str, Any]]]:
        """The signs of attack since the last call; what is noted per minute is not limited meanwhile."""
        self.portal.app.extensions["strongroom_limiter"].reset()
        event = tables.audit_event.c
        with self.portal.database(B) as conn:
            rows = conn.execute(select(event.id, event.action, event.detail).where(event.action.like("security.%")))
            fresh = [row for row in rows if row.id not in self.seen]
        self.seen |= {row.id for row in fresh}
        return [(row.action, row.detail) for row in fresh]


@pytest.fixture(scope="module")
def loot(portal: Portal) -> Loot:
    """One object of every kind in A, each with a canary in what it shows."""
    category = new_uuid7()
    with portal.database(A) as conn:
        conn.execute(insert(tables.category), {"id": category, "name": CANARY})
    values = objects_of(portal, A, str(category), CANARY)
    owner = portal.signed_in(Role.OWNER, A)
    form_token = owner.token("/expenses/new")
    cursor = f"2024-03-12_{values['expense_id']}"
    return Loot(values, owner.cookie("__Host-session"), owner.cookie("__Host-form"), form_token, cursor)


@pytest.fixture
def watch(portal: Portal, loot: Loot) -> Watch:
    made = Watch(portal)
    made.new()
    return made


def test_every_parameter_of_every_route_can_be_filled_with_something_of_a(portal: Portal, loot: Loot) -> None:
    for app in (portal.app, portal.app.extensions["strongroom_site"]):
        for rule, _ in routes(app):
            filled(rule, loot.values)


def test_a_route_that_nothing_of_a_fits_fails_this_suite(loot: Loot) -> None:
    app = Flask("tomorrow", static_folder=None)
    app.add_url_rule("/budgets/<uuid:budget_id>", "budgets.show", lambda: "")
    with pytest.raises(LookupError, match="budget_id"):
        filled(next(app.url_map.iter_rules()), loot.values)


def test_at_a_itself_these_are_real(portal: Portal, loot: Loot) -> None:
    owner, shown = portal.signed_in(Role.OWNER, A), 0
    for rule, method in routes(portal.app):
        if method == "GET" and rule.endpoint != guard.STATIC:
            answer = owner.get(filled(rule, loot.values))
            assert answer.status_code in (200, 303), rule.rule
            shown += leaks(answer)
    assert shown >= 8


def test_an_id_or_a_link_of_a_in_an_address_of_b(portal: Portal, loot: Loot, watch: Watch) -> None:
    wrong: list[str] = []
    thief, stranger = portal.signed_in(Role.OWNER, B), portal.client(B)
    for rule, method in routes(portal.app):
        if not rule.arguments or rule.endpoint == guard.STATIC:
            continue
        public = guard.need_of(portal.app, rule.endpoint) is None
        answer = send(stranger if public else thief, filled(rule, loot.values), method, {})
        if answer.status_code not in (404, 410) or leaks(answer):
            wrong.append(f"{method} {rule.rule}: {answer.status_code}")
        expected = refusals.UNKNOWN_LINK if public else refusals.UNKNOWN_ID
        told = watch.new()
        if [action for action, _ in told] != [expected]:
            wrong.append(f"{method} {rule.rule} noted {told}")
        if told and not public and set(told[0][1]["ids"]) - set(loot.values.values()):
            wrong.append(f"{method} {rule.rule} noted {told}")
    assert not wrong, "\n".join(wrong)


def test_the_session_of_a_on_every_page_of_b(portal: Portal, loot: Loot, watch: Watch) -> None:
    wrong: list[str] = []
    for rule, method in routes(portal.app):
        if rule.endpoint == guard.STATIC or rule.endpoint in PROGRAMS:
            continue
        thief = portal.client(B)
        token = thief.token("/sign-in")
        thief.carry("__Host-session", loot.session)
        answer = send(thief, filled(rule, loot.values), method, {}, token)
        public = guard.need_of(portal.app, rule.endpoint) is None
        if leaks(answer) or (not public and answer.status_code != 401) or signed_in_by(answer):
            wrong.append(f"{method} {rule.rule}: {answer.status_code}")
        if refusals.UNKNOWN_SESSION not in [action for action, _ in watch.new()]:
            wrong.append(f"{method} {rule.rule} noted nothing")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("own_cookie", [True, False])
def test_a_form_of_a_sent_to_b(portal: Portal, loot: Loot, watch: Watch, own_cookie: bool) -> None:
    thief, wrong = portal.signed_in(Role.OWNER, B), list[str]()
    for rule, method in routes(portal.app):
        if method != "POST" or rule.endpoint in PROGRAMS:
            continue
        if not own_cookie:
            thief.carry("__Host-form", loot.form_cookie)
        answer = send(thief, filled(rule, loot.values), method, {}, loot.form_token)
        if answer.status_code != 400 or leaks(answer):
            wrong.append(f"{rule.rule}: {answer.status_code}")
        if refusals.FORGED_FORM not in [action for action, _ in watch.new()]:
            wrong.append(f"{rule.rule} noted nothing")
    assert not wrong, "\n".join(wrong)


def test_ids_of_a_in_the_fields_of_every_form_of_b(portal: Portal, loot: Loot) -> None:
    """Whatever a form of B makes of them: it shows nothing of A, changes nothing there, and B holds none of them."""
    before, wrong = contents(portal, A), list[str]()
    for rule, method in routes(portal.app):
        if method != "POST":
            continue
        thief = portal.signed_in(Role.OWNER, B)
        own = {name: str(uuid4()) for name in rule.arguments if name.endswith("_id")}
        answer = send(thief, filled(rule, loot.values | own), method, loot.fields | typed(portal))
        if answer.status_code >= 500 or leaks(answer):
            wrong.append(f"{rule.rule}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)
    assert contents(portal, A) == before
    held = {cell for table in contents(portal, B).values() for row in table for cell in row if isinstance(cell, UUID)}
    assert not held & {UUID(value) for name, value in loot.values.items() if name.endswith("_id")}


def test_every_field_of_every_form_is_known_as_an_id_or_as_words(loot: Loot, forms: list[Place]) -> None:
    """One that is in neither list is not tried with an id of A's: add it to `named` or to `WORDS`."""
    unknown = {f"{place}: {name}" for place in forms for name in place.fields - set(loot.fields) - WORDS}
    assert not unknown


@pytest.mark.parametrize("pane", ["", "1"])
def test_each_id_of_a_in_each_form_of_b_that_reads_it_is_refused_and_noted(
    portal: Portal, loot: Loot, forms: list[Place], watch: Watch, pane: str
) -> None:
    wrong, tried = list[str](), set[tuple[str, str]]()
    own = objects_of(portal, B, a_category(portal, B), "Own")
    for place in forms:
        for name in sorted(place.fields & set(loot.fields)):
            if (place.rule.endpoint, name) in MEANS_NOTHING:
                continue
            foreign = loot.fields[name]
            send = prepared(portal, B, place.rule, place.method, own, place.fields, **{name: foreign, "pane": pane})
            answer = send()
            told = [action for action, detail in watch.new() if foreign in detail.get("ids", ())]
            if answer.status_code not in (404, 422) or leaks(answer) or told != [refusals.UNKNOWN_ID]:
                wrong.append(f"{place} with {name}: {answer.status_code}, noted {told}")
            tried.add((place.rule.endpoint, name))
    assert not wrong, "\n".join(wrong)
    assert tried >= NAMED_TODAY


def test_ids_and_places_of_a_in_the_query_of_every_page_of_b(portal: Portal, loot: Loot, watch: Watch) -> None:
    thief, wrong = portal.signed_in(Role.OWNER, B), list[str]()
    query = loot.fields | dict.fromkeys(ID_ELSEWHERE, loot.cursor)
    for rule, method in routes(portal.app):
        if method == "GET" and not rule.arguments:
            answer = thief.client.get(rule.rule, base_url=thief.base, query_string=query)
            if answer.status_code not in (200, 303, 404) or leaks(answer):
                wrong.append(f"{rule.rule}: {answer.status_code}")
            told = [action for action, _ in watch.new()]
            if (answer.status_code == 404 or rule.endpoint == "expenses.index") and refusals.UNKNOWN_ID not in told:
                wrong.append(f"{rule.rule} noted {told}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("spelling", ["{}.localhost", "{}.localhost.", "{}.LOCALHOST:8443", "{}.localhost:443"])
def test_a_host_spelled_otherwise_is_the_same_workspace_and_wants_its_own_session(
    portal: Portal, loot: Loot, spelling: str
) -> None:
    thief = portal.signed_in(Role.OWNER, B)
    host, cookie = spelling.format(portal.workspaces[A].slug), f"__Host-session={thief.cookie('__Host-session')}"
    for rule, method in routes(portal.app):
        if method == "GET" and rule.endpoint != guard.STATIC and guard.need_of(portal.app, rule.endpoint):
            answer = portal.app.test_client(use_cookies=False).get(
                filled(rule, loot.values), base_url=f"https://{host}", headers={"Cookie": cookie}
            )
            assert (answer.status_code, leaks(answer)) == (401, 0), rule.rule


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Host", "Forwarded", "X-Original-Host"])
def test_no_other_header_names_the_workspace(portal: Portal, loot: Loot, header: str) -> None:
    thief, host = portal.signed_in(Role.OWNER, B), portal.host(A)
    for rule, method in routes(portal.app):
        if method == "GET" and rule.endpoint != guard.STATIC:
            value = f"host={host}" if header == "Forwarded" else host
            assert not leaks(thief.get(filled(rule, loot.values), headers={header: value})), rule.rule


def test_what_is_of_a_opens_nothing_on_the_public_site(portal: Portal, loot: Loot) -> None:
    site = portal.client(None)
    site.carry("__Host-session", loot.session)
    site.carry("__Host-form", loot.form_cookie)
    for rule, method in routes(portal.app.extensions["strongroom_site"]):
        if rule.endpoint.startswith("outbox."):  # in development it shows all mail of the machine to who sits there
            continue
        answer = send(site, filled(rule, loot.values), method, loot.fields, loot.form_token)
        assert not leaks(answer), rule.rule
        assert method == "GET" or rule.endpoint in PROGRAMS or answer.status_code == 400, rule.rule
    for rule, method in routes(portal.app):  # whose addresses the site does not have, or answers as its own
        assert not leaks(send(site, filled(rule, loot.values), method, {}, loot.form_token)), rule.rule


def test_nobody_fills_the_audit_log_with_refusals(portal: Portal, watch: Watch) -> None:
    thief = portal.client(B)
    for number in range(25):
        thief.carry("__Host-session", f"guess {number}")
        assert thief.get("/members").status_code == 401
    assert len(watch.new()) == int(refusals.PER_ADDRESS.split()[0])
    with portal.app.test_request_context("/", base_url=thief.base):
        assert limits.within(refusals.PER_ADDRESS, "refusal", "another workspace", "127.0.0.1")


def test_a_session_that_merely_ended_is_no_sign_of_anything(portal: Portal, watch: Watch) -> None:
    browser = portal.signed_in(Role.OWNER, B)
    token = browser.cookie("__Host-session")
    assert browser.post("/sign-out", {}, form="/members").status_code == 303
    browser.carry("__Host-session", token)
    assert browser.get("/members").status_code == 401
    assert watch.new() == []


def test_what_was_typed_never_reaches_the_audit_log(portal: Portal, watch: Watch) -> None:
    browser = portal.signed_in(Role.OWNER, B)
    unknown = str(uuid4())
    assert browser.get(f"/expenses/new?receipt={unknown}&q=call-me@evil.example").status_code == 404
    assert watch.new() == [(refusals.UNKNOWN_ID, {"route": "expenses.new", "ids": [unknown]})]


def send(browser: Browser, path: str, method: str, typed: dict[str, Any], token: str | None = None) -> TestResponse:
    if method == "GET":
        return browser.get(path)
    signed = browser.cookie("__Host-session")
    form: Callable[[], str] = lambda: browser.token("/expenses/new" if signed else "/sign-in")  # noqa: E731
    return browser.post_bare(path, typed | {"csrf_token": token or form()})


def leaks(answer: TestResponse) -> int:
    """How many of A's canaries, or of what only A's session shows, the answer holds."""
    kind = answer.mimetype or ""
    text = answer.get_data(as_text=True) if kind.startswith("text/") else ""
    told = text + str(answer.headers)
    picture = answer.status_code == 200 and kind.startswith("image/")
    return sum(word in told for word in (CANARY, SECRET)) + picture


def signed_in_by(answer: TestResponse) -> bool:
    return any(c.startswith("__Host-session=") and "Max-Age=0" not in c for c in answer.headers.getlist("Set-Cookie"))


def contents(portal: Portal, slug: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row that the forms could touch, except when something was last seen."""
    ignored = {"session", "audit_event", "setting", "outbox"}
    with portal.database(slug) as conn:
        found: dict[str, list[tuple[object, ...]]] = {}
        for table in tables.metadata.sorted_tables:
            if table.name not in ignored:
                columns = [c for c in table.c if c.name != "last_seen_at"]
                found[table.name] = sorted((tuple(row) for row in conn.execute(select(*columns))), key=repr)
        return found
