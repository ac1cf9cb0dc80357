"""Whatever is A's, presented at B: refused on every route there is, nothing of A shown, and noted in B's audit log.

The routes are those of `url_map`, filled with A's objects by the names of their parameters. A route with a parameter
that no object below has a value for fails `test_every_parameter_…`: give `Loot` such an object.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import insert, select
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from strongroom.platform.web import guard, limits, refusals
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.ids import new_uuid7

Portal = Any  # the fixture's class, in conftest.py
Browser = Any
A, B = "rowan", "cedar"
CANARY = "Canary of Rowan"
SECRET = "canary-of-rowan"  # in an e-mail address
PARAMETER = re.compile(r"<(?:[a-z]+:)?(\w+)>")
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
        short = {name.removesuffix("_id"): value for name, value in self.values.items() if name.endswith("_id")}
        return self.values | short | {"approver": self.values["member_id"], "object": self.values["receipt_id"]}


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
    owner, spender = portal.signed_in(Role.OWNER, A), portal.signed_in(Role.MEMBER, A)
    category = new_uuid7()
    with portal.database(A) as conn:
        conn.execute(insert(tables.category), {"id": category, "name": CANARY})
    receipt = _receipt(owner)
    draft = _expense(owner, str(category), receipt)
    answer = spender.post("/expenses/submit", {"expense": _expense(spender, str(category))}, form="/expenses/new")
    report = answer.location.rsplit("/", 1)[1]
    invited = owner.post("/members/invite", {"email": f"{SECRET}@x.example", "role": "member"}, form="/members/invite")
    link = re.search(r"/invitation/([\w-]{43})", invited.text)
    assert link, invited.text
    with portal.database(A) as conn:
        invitation = conn.execute(select(tables.invitation.c.id).order_by(tables.invitation.c.id.desc())).scalars()
        values = {
            "expense_id": draft,
            "receipt_id": receipt,
            "report_id": report,
            "member_id": str(portal.people[A, Role.MEMBER]),
            "invitation_id": str(invitation.first()),
            "session_id": str(conn.execute(select(tables.session.c.id)).scalars().first()),
            "category_id": str(category),
            "token": link[1],
            "asked": "x",  # the assets' version and name are the same for everybody
            "name": "app.css",
        }
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
            filled(rule, loot)


def test_a_route_that_nothing_of_a_fits_fails_this_suite(loot: Loot) -> None:
    app = Flask("tomorrow", static_folder=None)
    app.add_url_rule("/budgets/<uuid:budget_id>", "budgets.show", lambda: "")
    with pytest.raises(LookupError, match="budget_id"):
        filled(next(app.url_map.iter_rules()), loot)


def test_at_a_itself_these_are_real(portal: Portal, loot: Loot) -> None:
    owner, shown = portal.signed_in(Role.OWNER, A), 0
    for rule, method in routes(portal.app):
        if method == "GET" and rule.endpoint != guard.STATIC:
            answer = owner.get(filled(rule, loot))
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
        answer = send(stranger if public else thief, filled(rule, loot), method, {})
        if answer.status_code not in (404, 410) or leaks(answer):
            wrong.append(f"{method} {rule.rule}: {answer.status_code}")
        expected = refusals.UNKNOWN_LINK if public else refusals.UNKNOWN_ID
        told = watch.new()
        if [action for action, _ in told] != [expected]:
            wrong.append(f"{method} {rule.rule} noted {told}")
        if not public and set(told[0][1]["ids"]) - set(loot.values.values()):
            wrong.append(f"{method} {rule.rule} noted {told}")
    assert not wrong, "\n".join(wrong)


def test_the_session_of_a_on_every_page_of_b(portal: Portal, loot: Loot, watch: Watch) -> None:
    wrong: list[str] = []
    for rule, method in routes(portal.app):
        if rule.endpoint == guard.STATIC:
            continue
        thief = portal.client(B)
        token = thief.token("/sign-in")
        thief.carry("__Host-session", loot.session)
        answer = send(thief, filled(rule, loot), method, {}, token)
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
        if method != "POST":
            continue
        if not own_cookie:
            thief.carry("__Host-form", loot.form_cookie)
        answer = send(thief, filled(rule, loot), method, {}, loot.form_token)
        if answer.status_code != 400 or leaks(answer):
            wrong.append(f"{rule.rule}: {answer.status_code}")
        if refusals.FORGED_FORM not in [action for action, _ in watch.new()]:
            wrong.append(f"{rule.rule} noted nothing")
    assert not wrong, "\n".join(wrong)


def test_ids_of_a_in_the_fields_of_every_form_of_b(portal: Portal, loot: Loot, watch: Watch) -> None:
    """Whatever a form of B makes of them: it shows nothing of A, changes nothing there, and B holds none of them."""
    before, wrong = contents(portal, A), list[str]()
    for rule, method in routes(portal.app):
        if method != "POST":
            continue
        thief = portal.signed_in(Role.OWNER, B)
        own = {name: str(uuid4()) for name in rule.arguments if name.endswith("_id")}
        typed = {"merchant": "x", "amount": "1", "currency": "GBP", "spent_on": "2024-03-12", "version": "1"}
        answer = send(thief, filled(rule, loot, own), method, typed | loot.fields)
        if answer.status_code >= 500 or leaks(answer):
            wrong.append(f"{rule.rule}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)
    assert contents(portal, A) == before
    held = {cell for table in contents(portal, B).values() for row in table for cell in row if isinstance(cell, UUID)}
    assert not held & {UUID(value) for name, value in loot.values.items() if name.endswith("_id")}


@pytest.mark.parametrize(
    ("path", "name", "of"),
    [
        ("/expenses/new", "category", "category_id"),
        ("/expenses/new", "receipt", "receipt_id"),
        ("/expenses/submit", "expense", "expense_id"),
        ("/receipts", "receipt", "receipt_id"),
    ],
)
def test_an_id_of_a_in_a_form_of_b_is_noted(
    portal: Portal, loot: Loot, watch: Watch, path: str, name: str, of: str
) -> None:
    thief, own = portal.signed_in(Role.OWNER, B), _category(portal, B)
    typed = {"id": str(uuid4()), "merchant": "x", "amount": "1", "currency": "GBP", "spent_on": "2024-03-12"}
    extra: dict[str, Any] = {"category": own, "pane": "1", "file": (io.BytesIO(_picture()), "a.png")}
    answer = thief.post(path, typed | extra | {name: loot.values[of]}, form="/expenses/new")
    assert answer.status_code in (404, 422)
    assert not leaks(answer)
    assert [action for action, detail in watch.new() if loot.values[of] in detail["ids"]] == [refusals.UNKNOWN_ID]


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
                filled(rule, loot), base_url=f"https://{host}", headers={"Cookie": cookie}
            )
            assert (answer.status_code, leaks(answer)) == (401, 0), rule.rule


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Host", "Forwarded", "X-Original-Host"])
def test_no_other_header_names_the_workspace(portal: Portal, loot: Loot, header: str) -> None:
    thief, host = portal.signed_in(Role.OWNER, B), portal.host(A)
    for rule, method in routes(portal.app):
        if method == "GET" and rule.endpoint != guard.STATIC:
            value = f"host={host}" if header == "Forwarded" else host
            assert not leaks(thief.get(filled(rule, loot), headers={header: value})), rule.rule


def test_what_is_of_a_opens_nothing_on_the_public_site(portal: Portal, loot: Loot) -> None:
    site = portal.client(None)
    site.carry("__Host-session", loot.session)
    site.carry("__Host-form", loot.form_cookie)
    for rule, method in routes(portal.app.extensions["strongroom_site"]):
        answer = send(site, filled(rule, loot), method, loot.fields, loot.form_token)
        assert not leaks(answer), rule.rule
        assert method == "GET" or answer.status_code == 400, rule.rule
    for rule, method in routes(portal.app):  # whose addresses the site does not have, or answers as its own
        assert not leaks(send(site, filled(rule, loot), method, {}, loot.form_token)), rule.rule


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


def routes(app: Flask) -> list[tuple[Rule, str]]:
    rules = app.url_map.iter_rules()
    return [(rule, method) for rule in rules for method in sorted(rule.methods or ()) if method in {"GET", "POST"}]


def filled(rule: Rule, loot: Loot, own: dict[str, str] | None = None) -> str:
    """The rule's path with A's values, or with `own` where given. Raises `LookupError` for an unknown parameter."""
    values = loot.values | (own or {})

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise LookupError(f"{rule.rule}: nothing of A is called {match[1]}; add it to the loot of this suite.")
        return values[match[1]]

    return PARAMETER.sub(value, rule.rule)


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


def _picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 40), "white").save(out, "PNG")
    return out.getvalue()


def _receipt(browser: Browser) -> str:
    file = {"file": (io.BytesIO(_picture()), f"{CANARY}.png"), "pane": "1"}
    answer = browser.post("/receipts", file, form="/expenses/new")
    return re.findall(r'name="receipt" value="([0-9a-f-]{36})"', answer.text)[-1]


def _category(portal: Portal, slug: str) -> str:
    with portal.database(slug) as conn:
        return str(conn.execute(select(tables.category.c.id)).scalars().first())


def _expense(browser: Browser, category: str, receipt: str | None = None) -> str:
    typed: dict[str, Any] = {"id": str(uuid4()), "merchant": CANARY, "amount": "7", "currency": "GBP"}
    typed |= {"spent_on": "2024-03-12", "category": category} | ({"receipt": receipt} if receipt else {})
    answer = browser.post("/expenses/new", typed, form="/expenses/new")
    assert answer.status_code == 303, answer.text
    return typed["id"]
