"""Where a workspace's card feed sends to: proved, stored, acknowledged; booked by the worker."""

from datetime import UTC, datetime

from flask import Blueprint
from flask.typing import ResponseReturnValue

from ....config.errors import CallError, NotFoundError
from ....tenant_schema.ids import new_uuid7
from ....tenant_schema.queries import cards
from ....tenant_schema.tables import incoming_event
from ...web import limits, tenant
from ...web.permissions import public
from ...webhooks.incoming import proven, said, without_form_token
from ...webhooks.signature import Proof, SignatureError
from .keys import feed_keys
from .messages import Transaction, read
from .prompt import wake_after_commit

PER_ADDRESS = "600 per minute"

blueprint = without_form_token(Blueprint("cardfeed", __name__))


@blueprint.post("/hooks/cards")
@public
def receive() -> ResponseReturnValue:
    """Store a payment that proves itself. 401 for any other message, and for one that was seen before."""
    limits.hit(PER_ADDRESS, "cards", tenant.tenant().id, limits.address())
    keys = feed_keys(tenant.connection(), tenant.cipher(), datetime.now(UTC))
    if not keys:
        raise NotFoundError("There is nothing here.")
    try:
        proof, body = proven(keys)
        paid = read(body)
        if paid is None:
            return said(202, "Ignored.")
        _keep(proof, paid)
    except SignatureError as error:
        return said(401, str(error))
    except CallError as error:
        return said(422, str(error))
    return said(202, "Stored.")


def _keep(proof: Proof, paid: Transaction) -> None:
    row_id = new_uuid7()
    payload = tenant.cipher().seal(incoming_event.c.payload, row_id, paid.to_json())
    fresh = cards.keep(tenant.connection(), row_id, proof.id, payload, proof.sent_at)
    if fresh is None:
        raise SignatureError("This message was received before.")
    if fresh:
        wake_after_commit()
