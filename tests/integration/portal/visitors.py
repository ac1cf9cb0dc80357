"""A real platform with some workspaces, their members, and the portal in front of them."""

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient
from member_rows import add_member
from sqlalchemy import Connection
from werkzeug.test import TestResponse

from strongroom.platform.control.platform import Platform
from strongroom.platform.keys import FieldCipher, hash_password
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.app import create_app
from strongroom.platform.web.permissions import Role

PASSWORD = "correct horse battery"
WORKSPACES = ("acme", "birch", "cedar", "rowan", "maple", "linden")  # the last two for whoever tries every form
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@dataclass(frozen=True)
class Portal:
    """The application, and the workspaces behind it by the name that tests call them."""

    platform: Platform
    app: Flask
    workspaces: dict[str, Tenant]
    people: dict[tuple[str, Role], UUID]
    password: str = PASSWORD

    def client(self, slug: str | None = "acme") -> "Browser":
        """A browser on a workspace's host, or on the public site."""
        self.app.extensions["strongroom_limiter"].reset()
        self.app.extensions["strongroom_site"].extensions["strongroom_limiter"].reset()
        return Browser(self.app.test_client(), f"https://{self.host(slug)}")

    def host(self, slug: str | None) -> str:
        """The host name of a workspace, or of the public site."""
        return f"{self.workspaces[slug].slug}.localhost" if slug else "localhost"

    def signed_in(self, role: Role, slug: str = "acme") -> "Browser":
        """A browser in which the member of that role has signed in."""
        browser = self.client(slug)
        answer = browser.sign_in(self.email(role))
        assert answer.status_code == 303, answer.text
        return browser

    def email(self, role: Role) -> str:
        """The address of the member who has that role, in every workspace."""
        return email_of(role)

    def cipher(self, slug: str = "acme") -> FieldCipher:
        """What seals and opens the workspace's personal columns."""
        return FieldCipher(self.platform.keys.tenant(self.workspaces[slug].id))

    @contextmanager
    def database(self, slug: str = "acme") -> Generator[Connection]:
        """A transaction in the workspace's database."""
        with self.platform.registry.connect(self.workspaces[slug]) as conn, conn.begin():
            yield conn


@dataclass
class Browser:
    """A test client that stays on one host and sends the token of the page's form."""

    client: FlaskClient
    base: str

    def get(self, path: str, headers: dict[str, str] | None = None) -> TestResponse:
        return self.client.get(path, base_url=self.base, headers=headers)

    def carry(self, name: str, value: str) -> None:
        """Put a cookie into the browser, as a thief or a mistaken page would."""
        self.client.set_cookie(name, value, domain=self.base.removeprefix("https://"), secure=True)

    def post(self, path: str, data: dict[str, object] | None = None, *, form: str = "/sign-in") -> TestResponse:
        """Send a form; its token is read from the page `form`."""
        return self.post_bare(path, (data or {}) | {"csrf_token": self.token(form)})

    def post_bare(self, path: str, data: dict[str, object]) -> TestResponse:
        """Send a form with exactly these fields."""
        return self.client.post(path, data=data, base_url=self.base, headers={"Referer": f"{self.base}/"})

    def token(self, form: str) -> str:
        found = TOKEN.search(self.get(form).text)
        assert found, f"no form on {form}"
        return found[1]

    def sign_in(self, email: str, password: str = PASSWORD) -> TestResponse:
        return self.post("/sign-in", {"email": email, "password": password})

    def cookie(self, name: str) -> str | None:
        found = self.client.get_cookie(name, domain=self.base.removeprefix("https://"))
        return found.value if found else None


def email_of(role: Role) -> str:
    return f"{role.value.replace('_', '-')}@people.example"


def open_portal(platform: Platform, tenant_factory: Callable[..., Tenant]) -> Portal:
    """The portal with the workspaces that tests share, and a member of each role in each."""
    workspaces = {label: tenant_factory(name=label.capitalize()) for label in WORKSPACES}
    people = {(label, role): _member(platform, workspaces[label], role) for label in workspaces for role in Role}
    return Portal(platform, create_app(platform), workspaces, people)


def of_its_own(portal: Portal, tenant: Tenant) -> Portal:
    """The same application with one other workspace, called `acme`, for a test that changes what others would see."""
    people = {("acme", role): _member(portal.platform, tenant, role) for role in Role}
    return replace(portal, workspaces={"acme": tenant}, people=people)


def _member(platform: Platform, tenant: Tenant, role: Role) -> UUID:
    cipher = FieldCipher(platform.keys.tenant(tenant.id))
    hashed = hash_password(PASSWORD, platform.keys.platform().pepper, 4)
    with platform.registry.connect(tenant) as conn, conn.begin():
        return add_member(conn, cipher, email_of(role), f"The {role.label}", role=role, password_hash=hashed)
