"""Forgetting what one person has beside the member's own row, and what programs have written of them."""

import json
from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection

from ...platform.keys import FieldCipher
from ...tenant_schema import tables
from ...tenant_schema.queries import belongings

NAMELESS = "erased"
_EVENT = tables.incoming_event.c.payload


def erase(conn: Connection, cipher: FieldCipher, member_id: UUID) -> None:
    """Remove a member's devices, factors, cards, tokens; take their words out of what stays."""
    cards = belongings.card_tokens(conn, member_id)
    events = set(belongings.events_of(conn, member_id)) | set(_mentioning(conn, cipher, _EVENT, cards))
    _empty_events(conn, cipher, events)
    belongings.remove(conn, member_id)
    for column, row_id in belongings.named_by(conn, member_id):
        belongings.rewrite(conn, column, [{"row_id": row_id, "value": cipher.seal(column, row_id, NAMELESS)}])


def erase_mentions(conn: Connection, cipher: FieldCipher, words: Collection[str]) -> None:
    """Remove what programs were sent or have answered with one of the words in it; empty what a card feed has sent."""
    for column in belongings.MENTIONING:
        belongings.remove_rows(conn, column, _mentioning(conn, cipher, column, words))
    _empty_events(conn, cipher, _mentioning(conn, cipher, _EVENT, words))


def _mentioning(conn: Connection, cipher: FieldCipher, column: Column[Any], words: Collection[str]) -> list[UUID]:
    """JSON may spell a letter as an escape, so both spellings are looked for."""
    if not words:
        return []
    spelled = {*words, *(_escaped(word) for word in words)}
    rows = belongings.contents(conn, column)
    return [row_id for row_id, sealed in rows if _has(cipher.open(column, row_id, sealed), spelled)]


def _has(content: str, words: Collection[str]) -> bool:
    folded = content.casefold()
    return any(word.casefold() in folded for word in words)


def _escaped(word: str) -> str:
    return json.dumps(word)[1:-1]


def _empty_events(conn: Connection, cipher: FieldCipher, ids: Collection[UUID]) -> None:
    """The row stays: the same event, sent again, is still known."""
    belongings.rewrite(conn, _EVENT, [{"row_id": one, "value": cipher.seal(_EVENT, one, "{}")} for one in ids])
    belongings.settle(conn, ids)
