"""A word in a workspace's settings, which a test changes and finds again."""

import json

from sqlalchemy import text

from strongroom.platform.control.platform import Platform
from strongroom.platform.tenants.records import Tenant


def write(platform: Platform, tenant: Tenant, word: str) -> None:
    statement = "INSERT INTO app.setting VALUES ('word', :word) ON CONFLICT (key) DO UPDATE SET value = :word"
    with platform.registry.connect(tenant) as conn, conn.begin():
        conn.execute(text(statement), {"word": json.dumps(word)})


def read(platform: Platform, tenant: Tenant) -> str:
    with platform.registry.connect(tenant) as conn:
        return conn.execute(text("SELECT value FROM app.setting WHERE key = 'word'")).scalar_one()
