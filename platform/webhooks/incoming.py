"""What routes share to which machines of others send messages: the proof, answers in JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from flask import Blueprint, Response, jsonify, request
from flask.blueprints import BlueprintSetupState
from flask_wtf import CSRFProtect

from .signature import Proof, verify


def without_form_token(blueprint: Blueprint) -> Blueprint:
    """Let `blueprint` be called by what is no browser: its messages prove themselves, and no cookie counts there."""

    def exempt(state: BlueprintSetupState) -> None:
        protection = cast(CSRFProtect, state.app.extensions["csrf"])
        protection.exempt(blueprint)  # pyright: ignore[reportUnknownMemberType]  # it has no types

    blueprint.record_once(exempt)
    return blueprint


def proven(keys: Sequence[str]) -> tuple[Proof, bytes]:
    """The proof and the body of this request's message, which `uploads` bounds. Raises `SignatureError`."""
    body = request.get_data(cache=False)
    return verify(keys, dict(request.headers), body, datetime.now(UTC)), body


def said(status: int, sentence: str) -> Response:
    """An answer for a machine, and for the person who reads its log."""
    response = jsonify({"detail": sentence})
    response.status_code = status
    return response
