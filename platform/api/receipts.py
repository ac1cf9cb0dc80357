"""Receipts: upload, facts, content."""

from typing import Any
from uuid import UUID

from flask import Response, jsonify, request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge

from ...tenant_schema.queries.receipts import Receipt
from ..portal.receipts import files, service
from ..portal.receipts.routes import inert
from ..web import tenant
from ..web.member import current
from ..web.permissions import Permission
from ..web.uploads import UPLOAD, accepts
from . import schemas
from .gate import asks
from .parsing import ApiBlueprint, Nothing
from .scopes import ApiScope

blueprint = ApiBlueprint("receipts", __name__, url_prefix="/api/v1/receipts", description="What proves an expense.")
RECEIPT = schemas.Receipt()
CONTENT = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in service.SUFFIXES}


@blueprint.route("", methods=["POST"])
@blueprint.arguments(schemas.Upload, location="files")
@blueprint.response(201, schemas.Receipt)
@accepts(UPLOAD)
@asks(Permission.SPEND, ApiScope.RECEIPTS_WRITE)
def upload(given: dict[str, FileStorage]) -> Response:
    """Upload a receipt.

    A JPEG, PNG, WebP or PDF of up to 20 MB, in the part `file`. Then attach it to an expense by its id.
    """
    file = given["file"]
    conn, cipher, vault = tenant.connection(), tenant.cipher(), tenant.vault()
    try:
        stored = service.store(conn, cipher, vault, current(), file.filename or "", file.stream.read(files.LARGEST + 1))
    except files.TooLargeError as error:
        raise RequestEntityTooLarge(str(error)) from error
    response = jsonify(schemas.dumped(RECEIPT, facts(service.find(conn, current(), stored.id))))
    response.status_code = 201
    response.headers["Location"] = f"{request.path}/{stored.id}"
    return response


@blueprint.route("/<uuid:receipt_id>", methods=["GET"])
@blueprint.arguments(Nothing, location="query")
@blueprint.response(200, schemas.Receipt)
@asks(Permission.SEE, ApiScope.RECEIPTS_READ)
def show(_query: object, receipt_id: UUID) -> Response:
    """Get a receipt's facts."""
    return jsonify(schemas.dumped(RECEIPT, facts(service.find(tenant.connection(), current(), receipt_id))))


@blueprint.route("/<uuid:receipt_id>/content", methods=["GET"])
@blueprint.arguments(Nothing, location="query")
@blueprint.doc(responses={"200": {"description": "The file", "content": CONTENT}})
@asks(Permission.SEE, ApiScope.RECEIPTS_READ)
def content(_query: object, receipt_id: UUID) -> Response:
    """Download a receipt.

    The file as it is kept, of the type that its facts name.
    """
    found = service.find(tenant.connection(), current(), receipt_id)
    response = inert(service.original(tenant.vault(), found), found.media_type)
    name = service.shown(tenant.cipher(), found).name
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


@blueprint.route("/<uuid:receipt_id>", methods=["DELETE"])
@blueprint.arguments(Nothing, location="query")
@blueprint.response(204)
@asks(Permission.SPEND, ApiScope.RECEIPTS_WRITE)
def discard(_query: object, receipt_id: UUID) -> Response:
    """Delete a receipt.

    Only one's own, and only while it proves no expense.
    """
    service.discard(tenant.connection(), current(), receipt_id)
    return Response(status=204)


def facts(one: Receipt) -> dict[str, Any]:
    """What is told of a receipt beside its content."""
    shown = service.shown(tenant.cipher(), one)
    return {
        "id": one.id,
        "file_name": shown.name,
        "media_type": one.media_type,
        "size": one.size,
        "width": one.width,
        "height": one.height,
        "created_at": one.created_at,
        "content": f"/api/v1/receipts/{one.id}/content",
    }
