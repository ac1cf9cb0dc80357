"""A workspace of a test's own, whose members each have an address of their own, and what mails they got."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import Connection, select
from werkzeug.test import TestResponse

from strongroom.platform.control.platform import Platform
from strongroom.platform.keys import FieldCipher, hash_password
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema import tables
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import members

PASSWORD = "correct horse battery"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0"
GERMANY, FRANCE, PRIVATE = "193.99.144.80", "212.27.48.10", "10.0.0.7"
SESSION, DEVICE = "__Host-session", "__Host-device"
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@dataclass(frozen=True)
class Mail:
    """A message as it was queued."""

    subject: str
    body: str

    @property
    def link(self) -> str:
        """The path that the mail's link leads to."""
        (found,) = re.findall(r"^https://[^/\s]+(/\S+)$", self.body, re.MULTILINE)
        return found


@dataclass(frozen=True)
class Workspace:
    """A workspace behind an application."""

    platform: Platform
    app: Flask
    tenant: Tenant

    @property
    def host(self) -> str:
        return f"{self.tenant.slug}.localhost"

    @property
    def cipher(self) -> FieldCipher:
        return FieldCipher(self.platform.keys.tenant(self.tenant.id))

    @contextmanager
    def database(self) -> Generator[Connection]:
        """A transaction in the workspace's database."""
        with self.platform.registry.connect(self.tenant) as conn, conn.begin():
            yield conn

    def join(self, role: Role = Role.MEMBER, name: str = "Ada Lovelace", email: str | None = None) -> "Person":
        """A new member, who has never signed in."""
        row_id, columns = new_uuid7(), tables.member.c
        email = email or f"{row_id.hex}@people.example"
        with self.database() as conn:
            members.insert(
                conn,
                id=row_id,
                email=self.cipher.seal(columns.email, row_id, email),
                email_index=self.cipher.blind(columns.email_index, email),
                name=self.cipher.seal(columns.name, row_id, name),
                password_hash=hash_password(PASSWORD, self.platform.keys.platform().pepper, 4),
                role=role,
            )
        return Person(self, row_id, email)


@dataclass(frozen=True)
class Person:
    """A member of the workspace."""

    workspace: Workspace
    id: UUID
    email: str

    def sign_in(self, address: str = PRIVATE, window: "Window | None" = None, password: str = PASSWORD) -> "Window":
        """Sign in from an address, in a new browser where none is given."""
        window = window or Window.open(self.workspace, address)
        answer = window.at(address).try_to_sign_in(self.email, password)
        assert answer.status_code == 303, answer.text
        return window

    def mails(self) -> list[Mail]:
        """What was written to them, oldest first."""
        cipher, box = self.workspace.cipher, tables.outbox
        with self.workspace.database() as conn:
            rows = conn.execute(select(box).order_by(box.c.id)).all()
        return [
            Mail(cipher.open(box.c.subject, row.id, row.subject), cipher.open(box.c.body, row.id, row.body))
            for row in rows
            if cipher.open(box.c.recipient, row.id, row.recipient) == self.email
        ]

    def rows(self, table: Any) -> list[Any]:
        """The member's rows in a table, oldest first."""
        with self.workspace.database() as conn:
            return list(conn.execute(select(table).where(table.c.member_id == self.id).order_by(table.c.id)))


@dataclass
class Window:
    """A browser on the workspace's host."""

    workspace: Workspace
    client: Any
    address: str

    @classmethod
    def open(cls, workspace: Workspace, address: str = PRIVATE) -> "Window":
        return cls(workspace, workspace.app.test_client(), address)

    @property
    def base(self) -> str:
        return f"https://{self.workspace.host}"

    def at(self, address: str) -> "Window":
        """The same browser somewhere else."""
        self.address = address
        return self

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, base_url=self.base, headers=headers, environ_overrides=self._environ())

    def post(self, path: str, data: dict[str, Any] | None = None, *, form: str | None = None) -> TestResponse:
        """Send a form; its token is read from the page `form`, which is `path` where none is given."""
        found = _TOKEN.search(self.get(form or path).text)
        assert found, f"no form on {form or path}"
        return self.client.post(
            path,
            base_url=self.base,
            data=(data or {}) | {"csrf_token": found[1]},
            headers={"Referer": f"{self.base}/"},
            environ_overrides=self._environ(),
        )

    def try_to_sign_in(self, email: str, password: str = PASSWORD) -> TestResponse:
        self.workspace.app.extensions["strongroom_limiter"].reset()
        self.drop(SESSION)
        return self.post("/sign-in", {"email": email, "password": password})

    def cookie(self, name: str) -> str | None:
        found = self.client.get_cookie(name, domain=self.workspace.host)
        return found.value if found else None

    def carry(self, name: str, value: str | None) -> "Window":
        """Put a cookie into the browser, as a thief would."""
        assert value
        self.client.set_cookie(name, value, domain=self.workspace.host, secure=True)
        return self

    def drop(self, name: str) -> None:
        self.client.delete_cookie(name, domain=self.workspace.host)

    def status(self) -> int:
        """What a page for members answers."""
        return self.get("/settings/sessions").status_code

    def _environ(self) -> dict[str, str]:
        return {"REMOTE_ADDR": self.address, "HTTP_USER_AGENT": FIREFOX}
