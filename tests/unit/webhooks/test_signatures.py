"""The one verification of messages, both ways: exactly five minutes, every key, nothing that is malformed."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from strongroom.config.errors import CallError
from strongroom.platform.webhooks.signature import SignatureError, check_secret, new_secret, sign, verify

NOW = datetime(2024, 3, 12, 10, 0, 0, tzinfo=UTC)
KEY, OTHER = ("whsec_" + base64.b64encode(bytes([one]) * 32).decode() for one in (1, 2))  # the same in all processes
BODY = '{"type":"report.paid"}'


@pytest.mark.parametrize("seconds", [-300, -1, 0, 1, 300])
def test_a_message_within_five_minutes_proves_itself(seconds: int) -> None:
    sent = NOW + timedelta(seconds=seconds)
    proof = verify([KEY], sign([KEY], "msg_1", sent, BODY), BODY.encode(), NOW)
    assert (proof.id, proof.sent_at) == ("msg_1", sent)


@pytest.mark.parametrize("seconds", [-301, 301, -86400, 10**9])
def test_a_message_from_further_away_does_not(seconds: int) -> None:
    headers = sign([KEY], "msg_1", NOW + timedelta(seconds=seconds), BODY)
    with pytest.raises(SignatureError, match="five minutes"):
        verify([KEY], headers, BODY.encode(), NOW)


def test_the_fraction_of_a_second_does_not_shorten_the_five_minutes() -> None:
    headers = sign([KEY], "msg_1", NOW - timedelta(seconds=300), BODY)
    verify([KEY], headers, BODY.encode(), NOW + timedelta(microseconds=999_999))


@pytest.mark.parametrize("keys", [[KEY], [OTHER, KEY], [KEY, OTHER]])
def test_any_of_the_keys_that_count_fits(keys: list[str]) -> None:
    verify(keys, sign([KEY], "msg_1", NOW, BODY), BODY.encode(), NOW)


def test_any_of_the_signatures_fits() -> None:
    verify([KEY], sign([OTHER, KEY], "msg_1", NOW, BODY), BODY.encode(), NOW)


def test_no_key_no_proof() -> None:
    with pytest.raises(SignatureError):
        verify([], sign([KEY], "msg_1", NOW, BODY), BODY.encode(), NOW)


def test_the_names_of_headers_have_no_case() -> None:
    headers = {name.title(): value for name, value in sign([KEY], "msg_1", NOW, BODY).items()}
    verify([KEY], headers, BODY.encode(), NOW)


@given(st.text(max_size=200), st.text(max_size=40), st.text(max_size=40), st.binary(max_size=100))
def test_whatever_comes_is_refused_and_never_an_error(signature: str, stamp: str, name: str, body: bytes) -> None:
    headers = {"webhook-id": name, "webhook-timestamp": stamp, "webhook-signature": signature}
    with pytest.raises(SignatureError):
        verify([KEY], headers, body, NOW)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_the_public_library_makes_the_same_signature(body: str) -> None:
    theirs = Webhook(KEY).sign("msg_1", NOW, body)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(NOW.timestamp())), "webhook-signature": theirs}
    verify([KEY], headers, body.encode(), NOW)


@pytest.mark.parametrize("bits", range(8))
def test_one_flipped_bit_is_enough(bits: int) -> None:
    headers = sign([KEY], "msg_1", NOW, BODY)
    digest = bytearray(base64.b64decode(headers["webhook-signature"].removeprefix("v1,")))
    digest[-1] ^= 1 << bits
    headers["webhook-signature"] = "v1," + base64.b64encode(digest).decode()
    with pytest.raises(SignatureError):
        verify([KEY], headers, BODY.encode(), NOW)


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_***", "whsec_" + base64.b64encode(b"short").decode(), KEY[6:], KEY + "\n", "x" * 50]
)
def test_what_is_no_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(CallError) as refused:
        check_secret(text)
    assert not text.strip() or text.strip() not in str(refused.value) or text.strip() == "whsec_"


def test_new_keys_are_keys_and_differ() -> None:
    assert check_secret(KEY) == KEY
    assert len({new_secret() for _ in range(100)}) == 100
