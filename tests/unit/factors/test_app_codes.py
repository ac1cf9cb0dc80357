"""Which codes of an authenticator app are accepted, at the edges of the window."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from pyotp.totp import TOTP

from strongroom.platform.portal.factors import totp

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NOW = datetime(2030, 3, 1, 12, tzinfo=UTC)  # the beginning of a step
STEP = int(NOW.timestamp()) // 30
APP = TOTP(SECRET)


def accepted(code: str, now: datetime = NOW, after: int | None = None) -> int | None:
    return totp.matching_counter(SECRET, code, now, after)


def test_the_code_of_the_step_and_of_its_neighbours_are_accepted() -> None:
    for step in (STEP - 1, STEP, STEP + 1):
        assert accepted(APP.generate_otp(step)) == step
    assert accepted(APP.generate_otp(STEP - 2)) is None
    assert accepted(APP.generate_otp(STEP + 2)) is None


def test_a_code_ends_with_the_second_after_its_neighbour() -> None:
    code, second = APP.generate_otp(STEP - 1), timedelta(seconds=1)
    assert accepted(code, NOW + timedelta(seconds=30) - second) == STEP - 1
    assert accepted(code, NOW + timedelta(seconds=30)) is None


@pytest.mark.parametrize(("after", "found"), [(None, True), (STEP - 1, True), (STEP, False), (STEP + 1, False)])
def test_only_a_later_step_than_the_last_accepted_counts(after: int | None, found: bool) -> None:
    assert (accepted(APP.generate_otp(STEP), after=after) == STEP) is found


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "１２３４５６", "12 34 5", "-12345", "1e5000"])
def test_what_is_no_code_is_refused(typed: str) -> None:
    assert accepted(typed) is None


def test_spaces_in_a_code_do_not_matter() -> None:
    code = APP.generate_otp(STEP)
    assert accepted(f" {code[:3]} {code[3:]} ") == STEP


def test_a_secret_has_160_bits() -> None:
    assert len(totp.new_secret()) * 5 == 160
    assert totp.new_secret() != totp.new_secret()


def test_the_address_names_workspace_and_member() -> None:
    address = urlsplit(totp.address(SECRET, "ölga@acme.example", "Möbel: GmbH"))
    assert (address.scheme, address.netloc) == ("otpauth", "totp")
    assert parse_qs(address.query) == {"secret": [SECRET], "issuer": ["Strongroom Möbel  GmbH"]}


def test_the_picture_is_drawn_here_and_asks_nobody() -> None:
    drawn = totp.picture(totp.address(SECRET, "olga@acme.example", "Acme"))
    assert drawn.startswith("<svg ")
    assert "http" not in drawn
    assert "style=" not in drawn
