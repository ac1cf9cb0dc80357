"""What a letter looks like on the wire: nobody's name gets into its headers, and its HTML is the text, escaped."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from strongroom.config.settings import Settings
from strongroom.platform.mail.letters import Letter, compose, one_line
from strongroom.platform.mail.page import html_of, parts_of
from strongroom.platform.mail.schedule import WAITS, wait_after

SETTINGS = Settings(home=Path("/nowhere"), base_domain="expenses.example")
AT = datetime(2024, 3, 12, 9, 30, tzinfo=UTC)
LINK = "https://acme.expenses.example:8443/invitation/abc"


def letter(subject: str = "Join", body: str = "Hello", recipient: str = "nina@people.example") -> EmailMessage:
    sent = compose(Letter("019b2f3c", recipient, subject, body, AT), SETTINGS).as_bytes()
    return message_from_bytes(sent, EmailMessage, policy=policy.default)


def html_body(body: str) -> str:
    return html_of("Subject", body, SETTINGS).partition("<body")[2]


@pytest.mark.parametrize(
    "subject",
    [
        "Join\r\nBcc: everybody@people.example",
        "Join\nFrom: bank@bank.example",
        "Join\r\n\r\n<script>",
        "Join\0\x1b[31m",
    ],
)
def test_a_subject_is_one_line_whatever_a_workspace_is_called(subject: str) -> None:
    found = letter(subject)
    assert sorted(found.keys()) == sorted(letter().keys())
    assert found["From"] == "Strongroom <no-reply@expenses.example>"
    assert "\n" not in found["Subject"]


def test_what_turns_the_writing_direction_is_taken_out_of_a_subject() -> None:
    assert one_line("Join \N{RIGHT-TO-LEFT OVERRIDE}knab\N{POP DIRECTIONAL FORMATTING}") == "Join knab"


def test_the_senders_name_is_ours_whatever_somebody_is_called() -> None:
    found = letter("“Bank” <security@bank.example> invites you", "Bank <security@bank.example>, https://bank.example")
    assert found["From"].addresses[0].display_name == "Strongroom"
    assert found["From"].addresses[0].addr_spec == "no-reply@expenses.example"
    assert "Reply-To" not in found


@pytest.mark.parametrize(
    "recipient", ["a@x.example, b@x.example", "a@x.example\r\nBcc: b@x.example", "nobody", "<a@x>"]
)
def test_what_is_not_exactly_one_address_gets_no_letter(recipient: str) -> None:
    with pytest.raises(ValueError, match="address"):
        letter(recipient=recipient)


def test_an_international_domain_is_written_in_ascii() -> None:
    assert letter(recipient="nina@bücher.example")["To"] == "nina@xn--bcher-kva.example"


def test_the_same_letter_is_the_same_bytes() -> None:
    assert letter().as_bytes() == letter().as_bytes()


def test_markup_in_a_name_stays_text() -> None:
    found = html_body('<script>alert(1)</script> & "quoted" <img src=x onerror=alert(1)>')
    assert "<script" not in found
    assert "<img" not in found
    assert "&lt;script&gt;" in found


def test_a_line_that_is_only_our_link_is_a_button_and_stays_readable() -> None:
    found = html_body(f"Open this link:\n\n{LINK}\n\nThe link can be used once.")
    assert f'href="{LINK}"' in found
    assert ">Accept the invitation<" in found
    assert found.count(LINK) == 2


@pytest.mark.parametrize(
    "line",
    [
        "https://evil.example/invitation/abc",
        "https://expenses.example.evil.example/",
        "https://expenses.example@evil.example/",
        "http://acme.expenses.example/",
        "javascript:alert(1)//https://acme.expenses.example",
        f"see {LINK}",
        'https://acme.expenses.example/"onmouseover="x',
        "https://[",
    ],
)
def test_any_other_link_stays_text(line: str) -> None:
    assert "href" not in html_body(line)


def test_nothing_is_fetched_from_anywhere() -> None:
    page = html_of("Subject", f"Hello\n\n{LINK}", SETTINGS)
    assert not [word for word in ("src=", "url(", "@import", "<link", "<script", "<form") if word in page]
    assert "prefers-color-scheme: dark" in page


@given(st.text(max_size=300))
@examples(deadline=None)
def test_every_text_is_in_its_html_line_by_line(body: str) -> None:
    shown = [line for part in parts_of(body, "expenses.example") for line in (part.lines or (part.link or "",))]
    assert " ".join(" ".join(shown).split()) == " ".join(body.replace("\r\n", "\n").split())


def test_tries_are_spread_over_a_day() -> None:
    waits = [wait_after(attempts) for attempts in range(1, 30)]
    assert waits == list(WAITS)
    assert timedelta(hours=24) <= sum(WAITS, timedelta()) < timedelta(hours=25)
    assert list(WAITS) == sorted(WAITS)
    assert wait_after(30) is None
