"""The one table from errors to a status and a page with one clear sentence. No traceback ever leaves."""

import logging
import secrets
from dataclasses import dataclass

from flask import Flask, Response, g, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DBAPIError, OperationalError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, InternalServerError, TooManyRequests

from ...config import errors
from .formats import waiting

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Page:
    """How an error looks. `sentence` of None means: the error's own message is written for the reader."""

    status: int
    title: str
    sentence: str | None = None


NOWHERE = Page(404, "There is nothing here", "Check the address: no page answers to it.")
BROKEN = Page(500, "Something broke on our side", "Nothing was changed, and we have a record of it to look into.")
BUSY = Page(503, "Busy right now", "Please try again in a few seconds; nothing was lost.")
LOST = Page(  # whether a commit that was under way is kept, nobody can tell
    503, "Interrupted", "The database was interrupted. Look whether your last change is there, then try again."
)
TABLE: dict[type[Exception], Page] = {
    errors.CallError: Page(422, "That did not work"),
    errors.NotFoundError: Page(404, "There is nothing here"),
    errors.UnknownHostError: NOWHERE,
    errors.RefusedError: Page(409, "That cannot be done now"),
    errors.BusyError: Page(409, "Somebody else is at it"),
    errors.StaleVersionError: Page(409, "Somebody else was faster"),
    errors.TenantSuspendedError: Page(
        403, "This workspace is suspended", "Its data is kept safe. Ask the workspace's owner, or us, what to do."
    ),
    errors.ForbiddenError: Page(403, "You may not do this"),
    errors.FailedError: Page(503, "Not available right now"),
    errors.UnavailableError: BUSY,
    PoolTimeoutError: BUSY,  # all connections to the control database are in use
    errors.VerificationError: BROKEN,
    errors.KeyMissingError: BROKEN,
    OperationalError: LOST,  # a session was ended or a statement cancelled, a server restarts: a repeat helps
    PendingRollbackError: LOST,
    CSRFError: Page(
        400,
        "This form can no longer be sent",
        "It was opened in an earlier session, or came from another page. Go back, reload the page and send it again.",
    ),
}
HTTP: dict[int, Page] = {
    400: Page(400, "That request was not understood", "Go back, reload the page and try again."),
    401: Page(401, "You are signed out", "Your session has ended. Sign in to go on."),
    404: NOWHERE,
    405: Page(405, "That cannot be done here", "Go back and use the buttons on the page."),
    413: Page(
        413,
        "That is too large",
        "A receipt may have up to 20 MB, one upload up to 25 MB, and a form without files 64 KB.",
    ),
    429: Page(429, "Too many tries", "Please wait a few minutes, then try again."),
}


def page_for(error: Exception) -> Page:
    """The page of the most specific class of `error` that the table knows."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return LOST
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    if isinstance(error, HTTPException) and error.code:
        return HTTP.get(error.code, Page(error.code, "That did not work", "Go back, reload the page and try again."))
    return BROKEN


def install(app: Flask) -> None:
    """Answer every error of `app` through the table."""
    app.register_error_handler(Exception, respond)


def respond(error: Exception) -> Response:
    """The response for `error`: a page, or a message for the corner of the page when htmx asked."""
    if isinstance(error, HTTPException) and error.code and error.code < 400:
        return make_response(error.get_response())  # a redirect
    if isinstance(error, InternalServerError) and isinstance(error.original_exception, Exception):
        error = error.original_exception  # raised after the view, such as by the commit
    g.error = error  # `refusals` reads it
    page = page_for(error)
    reference = record(error) if page.status >= 500 else None
    sentence = how_long(error) if isinstance(error, TooManyRequests) else page.sentence or str(error)
    partial = request.headers.get("HX-Request") == "true"
    template = "errors/message.html" if partial else "errors/page.html"
    response = make_response(
        render_template(template, page=page, sentence=sentence, reference=reference, host=request.host), page.status
    )
    if partial:
        response.headers["HX-Retarget"] = "#toasts"
        response.headers["HX-Reswap"] = "beforeend"
    say_when_to_retry(error, response)
    return response


def record(error: Exception) -> str:
    """Log `error` under a reference that the page shows, so that a customer can quote it."""
    reference = secrets.token_hex(4)
    if page_for(error) is BROKEN:
        log.error("reference %s: %s %s", reference, request.method, _place(), exc_info=error)
    else:
        log.warning("reference %s: %s %s: %s", reference, request.method, _place(), type(error).__name__)
    return reference


def _place() -> str:
    """The request's path; of a link that opens something only its pattern, so that no log holds its token."""
    rule = request.url_rule
    secret = any(name.endswith("token") for name in request.view_args or {})
    return rule.rule if rule and secret else request.path


def seconds_to_wait(error: TooManyRequests) -> int:
    """After how many seconds a repeat makes sense."""
    wait = error.retry_after
    return wait if isinstance(wait, int) else 60


def how_long(error: TooManyRequests) -> str:
    """The sentence of the page for too many tries, with the real wait."""
    return f"Please wait {waiting(seconds_to_wait(error))}, then try again."


def say_when_to_retry(error: Exception, response: Response) -> None:
    """Tell in `Retry-After` how many seconds to wait where waiting helps."""
    if isinstance(error, errors.UnavailableError):
        response.headers["Retry-After"] = str(error.retry_after)
    elif response.status_code == 503:
        response.headers["Retry-After"] = "30"
    elif isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(seconds_to_wait(error))
