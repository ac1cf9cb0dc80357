"""The keys by which a workspace's card feed proves itself."""

from datetime import datetime

from sqlalchemy import Connection

from ....tenant_schema.queries import cards
from ....tenant_schema.tables import card_feed
from ...keys.fields import FieldCipher


def feed_keys(conn: Connection, cipher: FieldCipher, now: datetime) -> list[str]:
    """The key, and during a rotation the one before; none where the workspace has no feed."""
    feed = cards.feed(conn)
    if feed is None:
        return []
    keys = [cipher.open(card_feed.c.secret, feed.id, feed.secret)]
    if feed.previous_secret is not None and feed.previous_until is not None and now < feed.previous_until:
        keys.append(cipher.open(card_feed.c.previous_secret, feed.id, feed.previous_secret))
    return keys
