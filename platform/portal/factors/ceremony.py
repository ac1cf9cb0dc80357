"""Passkeys: what a browser is asked to sign, and whether its answer is right (W3C Web Authentication, level 3).

The relying party is the workspace's own host name, so a passkey of one workspace is nothing on another's. A challenge
is a row with a token in a cookie: it was given to this browser, for this purpose, and is burned by the first answer,
right or wrong.
"""

import json
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import webauthn
from flask import Response, request
from sqlalchemy import Connection
from webauthn.helpers import (
    options_to_json,
    parse_authentication_credential_json,
)
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialCreationOptions,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRequestOptions,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

from ....tenant_schema.queries import challenges as queries
from ....tenant_schema.queries import members, passkeys
from ...keys.tokens import hash_of
from ...web import challenges, tenant
from ...web.member import CurrentMember

COOKIE = "__Host-passkey"
GOOD_FOR = timedelta(minutes=5)
LONGEST_ANSWER = 16 * 1024
_CHALLENGE_BYTES = 32
_TRANSPORTS = frozenset(one.value for one in AuthenticatorTransport)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Proof:
    """A passkey that has answered. `verified`: the authenticator knows the person, by a PIN, a finger or a face."""

    member_id: UUID
    passkey_id: UUID
    verified: bool


def ask_to_create(member: CurrentMember, now: datetime) -> Response:
    """What the browser needs to make a passkey for `member`, as JSON, with the cookie of the challenge."""
    known = passkeys.of_member(tenant.connection(), member.id)

    def options(content: bytes) -> PublicKeyCredentialCreationOptions:
        return webauthn.generate_registration_options(
            rp_id=rp_id(),
            rp_name=tenant.tenant().name,
            user_id=member.id.bytes,
            user_name=member.email,
            user_display_name=member.name,
            challenge=content,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
            ),
            exclude_credentials=[_descriptor(one) for one in known],
        )

    return _ask("passkey_enrol", member.id, now, options)


def ask_to_sign(purpose: str, member_id: UUID | None, now: datetime) -> Response:
    """What the browser needs to use a passkey: one of `member_id`, or with None whichever the person chooses."""
    known = passkeys.of_member(tenant.connection(), member_id) if member_id else []
    verification = UserVerificationRequirement.PREFERRED if member_id else UserVerificationRequirement.REQUIRED

    def options(content: bytes) -> PublicKeyCredentialRequestOptions:
        return webauthn.generate_authentication_options(
            rp_id=rp_id(),
            challenge=content,
            allow_credentials=[_descriptor(one) for one in known],
            user_verification=verification,
        )

    return _ask(purpose, member_id, now, options)


def created(member: CurrentMember, answer: str, now: datetime) -> VerifiedRegistration | None:
    """The new passkey that the browser sends, or None where the answer is wrong, late or used already."""
    content = _burn("passkey_enrol", member.id, now)
    if content is None or len(answer) > LONGEST_ANSWER:
        return None
    try:
        return webauthn.verify_registration_response(
            credential=answer, expected_challenge=content, expected_rp_id=rp_id(), expected_origin=origin()
        )
    except Exception:  # what strangers send breaks the library's parsers in ways that it does not list
        log.info("a new passkey was refused", exc_info=True)
        return None


def transports_of(answer: str) -> list[str]:
    """How the authenticator of a new passkey is reached, as far as the browser says so in known words."""
    said: Any = json.loads(answer).get("response", {}).get("transports")
    listed = cast(list[object], said) if isinstance(said, list) else []
    return [one for one in listed if isinstance(one, str) and one in _TRANSPORTS]


def signed(purpose: str, member_id: UUID | None, answer: str, now: datetime) -> Proof | None:
    """Whose passkey has answered; None where it is wrong, late, used already, or not one of `member_id`.

    Without `member_id` the authenticator must have verified the person: nothing else will. Locks the member's row.
    """
    conn = tenant.connection()
    if member_id:
        members.hold(conn, member_id)  # before the challenge's row, as everybody does
    content = _burn(purpose, member_id, now)
    if content is None or len(answer) > LONGEST_ANSWER:
        return None
    try:
        parsed = parse_authentication_credential_json(answer)
        passkey = _held(conn, parsed.raw_id)
        if passkey is None or member_id not in (None, passkey.member_id):
            return None
        handle = parsed.response.user_handle
        if (handle is not None or member_id is None) and handle != passkey.member_id.bytes:
            return None
        done = webauthn.verify_authentication_response(
            credential=parsed,
            expected_challenge=content,
            expected_rp_id=rp_id(),
            expected_origin=origin(),
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=member_id is None,
        )
    except Exception:  # as above; a counter that has not risen comes here, too
        log.info("a passkey was refused", exc_info=True)
        return None
    if not passkeys.used(conn, passkey.id, done.new_sign_count, now):
        return None
    return Proof(passkey.member_id, passkey.id, done.user_verified)


def _held(conn: Connection, credential_id: bytes) -> passkeys.Passkey | None:
    """The passkey of a member whose row is locked by now: read again, it may have been taken away meanwhile."""
    found = passkeys.by_credential(conn, credential_id)
    return passkeys.by_credential(conn, credential_id) if found and members.hold(conn, found.member_id) else None


def rp_id() -> str:
    """The relying party's id: the workspace's host name, without a port."""
    return origin().removeprefix("https://").partition(":")[0]


def origin() -> str:
    """What the browser has to say where it is: scheme, host and port."""
    return tenant.platform().settings.workspace_url(tenant.tenant().slug)


Options = PublicKeyCredentialCreationOptions | PublicKeyCredentialRequestOptions


def _ask(purpose: str, member_id: UUID | None, now: datetime, options: Callable[[bytes], Options]) -> Response:
    content = secrets.token_bytes(_CHALLENGE_BYTES)
    token = challenges.begin(purpose, member_id, now, GOOD_FOR, content=content)
    response = Response(options_to_json(options(content)), mimetype="application/json")
    challenges.hand_out(response, COOKIE, token, GOOD_FOR)
    return response


def _burn(purpose: str, member_id: UUID | None, now: datetime) -> bytes | None:
    token = request.cookies.get(COOKIE, "")
    found = queries.use(tenant.connection(), hash_of(token), purpose, now)
    return found.content if found and found.member_id == member_id else None


def _descriptor(passkey: passkeys.Passkey) -> PublicKeyCredentialDescriptor:
    transports = [AuthenticatorTransport(one) for one in passkey.transports if one in _TRANSPORTS]
    return PublicKeyCredentialDescriptor(id=passkey.credential_id, transports=transports or None)
