"""Receipts: upload, and the stored bytes, served so that nothing in them can act."""

from uuid import UUID

from flask import Blueprint, Response, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge

from ....config.errors import CallError
from ...web import tenant
from ...web.member import current
from ...web.permissions import Permission, requires
from ...web.uploads import UPLOAD, accepts
from ..expenses import service as expense_service
from . import files, service
from .service import Shown, Stored

blueprint = Blueprint("receipts", __name__, url_prefix="/receipts", template_folder="templates")

FILES_AT_ONCE = 10
INERT = "default-src 'none'; sandbox; frame-ancestors 'none'"


@blueprint.post("")
@accepts(UPLOAD)
@requires(Permission.SPEND)
def upload() -> ResponseReturnValue:
    """Store what was dropped or photographed: into the pane of an open form, or as the beginning of an expense."""
    held, expense_id = _held(), _expense_id()
    try:
        stored = [_store(file) for file in _uploaded()]
    except files.TooLargeError as error:
        raise RequestEntityTooLarge(str(error)) from error
    except CallError as error:
        if not request.form.get("pane"):
            raise
        return make_response(_pane(held, error=str(error)), 422)
    ids = [*held, *(one.id for one in stored)]
    if request.form.get("pane"):
        return make_response(_pane(ids, twins=stored))
    return _begin_expense(ids, stored, expense_id)


@blueprint.get("/<uuid:receipt_id>/preview")
@requires(Permission.SEE)
def preview(receipt_id: UUID) -> Response:
    """A picture of the receipt, of a PDF the first page."""
    found = service.find(tenant.connection(), current(), receipt_id)
    return inert(service.preview(tenant.vault(), found), files.JPEG)


@blueprint.get("/<uuid:receipt_id>/thumbnail")
@requires(Permission.SEE)
def thumbnail(receipt_id: UUID) -> Response:
    """A small picture of the receipt."""
    found = service.find(tenant.connection(), current(), receipt_id)
    return inert(service.thumbnail(tenant.vault(), found), files.JPEG)


@blueprint.get("/<uuid:receipt_id>/original")
@requires(Permission.SEE)
def original(receipt_id: UUID) -> Response:
    """The stored file: pictures in the browser, a PDF as a download."""
    found = service.find(tenant.connection(), current(), receipt_id)
    shown = service.shown(tenant.cipher(), found)
    response = inert(service.original(tenant.vault(), found), found.media_type)
    response.headers.set(
        "Content-Disposition",
        "attachment" if shown.is_pdf or "download" in request.args else "inline",
        filename=shown.name,
    )
    return response


@blueprint.post("/<uuid:receipt_id>/delete")
@requires(Permission.SPEND)
def discard(receipt_id: UUID) -> ResponseReturnValue:
    """Delete a receipt that was never attached."""
    service.discard(tenant.connection(), current(), receipt_id)
    flash("The receipt is deleted.")
    return redirect(url_for("dashboard.index"), 303)


def shown_receipts(ids: list[UUID]) -> list[Shown]:
    """The receipts of these ids that the member may see, in this order."""
    conn, cipher, member = tenant.connection(), tenant.cipher(), current()
    return [service.shown(cipher, service.find(conn, member, one)) for one in dict.fromkeys(ids)]


def _uploaded() -> list[FileStorage]:
    """The files of the form. Raises `CallError` for none or too many."""
    found = [file for file in request.files.getlist("file") if file.filename]
    if not found:
        raise CallError("Choose a file first.", "file")
    if len(found) > FILES_AT_ONCE:
        raise CallError(f"Up to {FILES_AT_ONCE} files can be uploaded at once.", "file")
    return found


def _store(file: FileStorage) -> Stored:
    content = file.stream.read(files.LARGEST + 1)
    conn, cipher, vault = tenant.connection(), tenant.cipher(), tenant.vault()
    return service.store(conn, cipher, vault, current(), file.filename or "", content)


def _held() -> list[UUID]:
    """The receipts that the form has already. Raises `NotFoundError` for one that the member may not see."""
    ids = [_read_id(text) for text in request.form.getlist("receipt")]
    return [service.find(tenant.connection(), current(), one).id for one in dict.fromkeys(ids)]


def _expense_id() -> UUID | None:
    """The expense whose form it is, if that is saved already. Raises `NotFoundError` as `_held` does."""
    text = request.form.get("expense")
    return expense_service.find(tenant.connection(), current(), _read_id(text)).id if text else None


def _read_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise CallError("This form is damaged; reload the page.") from error


def _pane(ids: list[UUID], *, error: str | None = None, twins: list[Stored] | None = None) -> str:
    known = [one for one in twins or [] if one.same_as]
    return render_template("receipts/pane.html", receipts=shown_receipts(ids), error=error, twins=known)


def _begin_expense(ids: list[UUID], stored: list[Stored], expense_id: UUID | None) -> ResponseReturnValue:
    if any(one.same_as for one in stored):
        flash("You have uploaded this receipt before; check that the expense is not there already.", "warning")
    target = (
        url_for("expenses.show", expense_id=expense_id, receipt=[str(one) for one in ids])
        if expense_id
        else url_for("expenses.new", receipt=[str(one) for one in ids])
    )
    if request.headers.get("HX-Request") == "true":
        return Response(status=204, headers={"HX-Redirect": target})
    return redirect(target, 303)


def inert(content: bytes, media_type: str) -> Response:
    """A response whose content cannot run, be framed, or be kept by any cache."""
    response = Response(content, mimetype=media_type)
    response.headers["Content-Security-Policy"] = INERT
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, no-store"
    return response
