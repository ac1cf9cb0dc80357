"""`/outbox` of the public site, in development only: where the links of invitations and resets can be followed."""

from flask import Blueprint, Response, make_response, render_template, request
from flask.typing import ResponseReturnValue

from ...web.permissions import public
from ...web.security import nonce, policy
from ...web.tenant import platform
from . import service

# The letter is a stranger's document: no script, no form, nothing from elsewhere; its links open in a new tab.
SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
LETTER_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    f"sandbox {SANDBOX}"
)

blueprint = Blueprint("outbox", __name__, template_folder="templates")


@blueprint.get("/outbox")
@public
def index() -> ResponseReturnValue:
    """The newest letters, or the one that the address names."""
    settings, name = platform().settings, request.args.get("letter", "")
    if not name:
        return render_template("outbox/list.html", letters=service.newest(settings), newest=service.NEWEST)
    page = render_template("outbox/letter.html", letter=service.find(settings, name), sandbox=SANDBOX)
    response = make_response(page)
    response.headers["Content-Security-Policy"] = f"{policy(nonce())}; frame-src 'self'"
    return response


@blueprint.get("/outbox/html")
@public
def html() -> ResponseReturnValue:
    """The HTML of a letter, for the frame in its page."""
    letter = service.find(platform().settings, request.args.get("letter", ""))
    response = Response(letter.html or "", mimetype="text/html")
    response.headers["Content-Security-Policy"] = LETTER_POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response
