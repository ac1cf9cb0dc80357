"""The payment processor's messages, on the public site: proved, stored, acknowledged; acted upon by the worker."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from ....config.errors import CallError, NotFoundError
from ...payments import queries, tasks
from ...payments.messages import Message, read
from ...payments.secret import payment_keys
from ...tenants import queries as tenants
from ...web import limits
from ...web.permissions import public
from ...web.tenant import platform
from ...webhooks.incoming import proven, said, without_form_token
from ...webhooks.signature import Proof, SignatureError

PER_ADDRESS = "600 per minute"

blueprint = without_form_token(Blueprint("payments", __name__))


@blueprint.post("/hooks/payments")
@public
def receive() -> ResponseReturnValue:
    """Store a message that proves itself. 401 for any other, and for one that was seen before."""
    limits.hit(PER_ADDRESS, "payments", limits.address())
    keys = payment_keys(platform().settings)
    if not keys:
        raise NotFoundError("There is nothing here.")
    try:
        proof, body = proven(keys)
        _keep(proof, read(body, proof.sent_at))
    except SignatureError as error:
        return said(401, str(error))
    except CallError as error:
        return said(422, str(error))
    return said(202, "Stored.")


def _keep(proof: Proof, message: Message) -> None:
    with platform().control.begin() as control:
        known = message.workspace is not None and tenants.exists(control, message.workspace)
        kept = queries.keep(control, proof, message, message.workspace if known else None)
        if kept is None:
            raise SignatureError("This message was received before.")
        if not kept.fresh:
            return
        if message.known:
            tasks.queue(control, kept.id)
        else:
            queries.finish(control, kept.id)
