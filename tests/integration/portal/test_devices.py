"""New devices and new countries: each alone, both, neither, and the first sign-in ever."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from strongroom.platform.keys import FieldCipher
from strongroom.platform.portal.access import devices
from strongroom.platform.tenants.records import Tenant
from strongroom.platform.web.permissions import Role
from strongroom.tenant_schema.tables import device, member, outbox, session

Portal = Any  # the fixtures' classes, in conftest.py
Browser = Any
GERMANY, FRANCE, NOWHERE = "193.99.144.80", "212.27.48.10", "10.0.0.7"
PEOPLE = iter(
    [("linden", Role.OWNER), ("linden", Role.ADMIN), ("linden", Role.MEMBER), ("linden", Role.CONTRIBUTOR)]
    + [("cedar", Role.OWNER), ("cedar", Role.ADMIN), ("cedar", Role.MEMBER), ("cedar", Role.CONTRIBUTOR)]
    + [("rowan", Role.ADMIN), ("rowan", Role.MEMBER), ("rowan", Role.CONTRIBUTOR), ("rowan", Role.READ_ONLY)]
)


@dataclass
class Someone:
    """A member who has never signed in, as far as the workspace knows."""

    portal: Portal
    slug: str
    role: Role

    def sign_in(self, address: str, browser: Browser | None = None) -> Browser:
        """Sign in from an address, in a new browser where none is given."""
        browser = browser or self.portal.client(self.slug)
        self.portal.client(self.slug)  # forgets the tries that were counted
        browser.client.environ_base["REMOTE_ADDR"] = address
        browser.client.delete_cookie("__Host-session", domain=self.portal.host(self.slug))
        answer = browser.sign_in(self.portal.email(self.role))
        assert answer.status_code == 303, answer.text
        return browser

    @property
    def id(self) -> Any:
        return self.portal.people[self.slug, self.role]

    def mails(self) -> list[str]:
        """The subjects of the alerts that were written to them, oldest first."""
        cipher = FieldCipher(self.portal.platform.keys.tenant(self.portal.workspaces[self.slug].id))
        with self.portal.database(self.slug) as conn:
            rows = conn.execute(select(outbox).order_by(outbox.c.id)).all()
        mine = [row for row in rows if cipher.open(outbox.c.recipient, row.id, row.recipient) == self.email]
        return [cipher.open(outbox.c.subject, row.id, row.subject) for row in mine]

    @property
    def email(self) -> str:
        return self.portal.email(self.role)
