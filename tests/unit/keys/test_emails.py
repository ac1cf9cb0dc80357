"""Different spellings of one address are one address; what is no address is refused."""

import pytest

from strongroom.config.errors import CallError
from strongroom.platform.keys import normalise_email


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("  ada@example.com\n", "ada@example.com"),
        ("ada+travel@example.co.uk", "ada+travel@example.co.uk"),
        ("JOSE\u0301@example.com", "jos\u00e9@example.com"),
        ("ada@B\u00fcro.example", "ada@xn--bro-hoa.example"),
        ("o'brien@example.com", "o'brien@example.com"),
    ],
)
def test_an_address_has_one_spelling(typed: str, kept: str) -> None:
    assert normalise_email(typed) == kept
    assert normalise_email(kept) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "", "ada", "@example.com", "ada@", "ada@example", "ada@example..com", "a b@example.com", "ada@exa mple.com",
        "ada@example.com\nBcc: eve@example.com", "<ada@example.com>", "ada@-example.com", "ada\x00@example.com",
        "ada..b@example.com", ".ada@example.com", "a@b@example.com", "a" * 65 + "@example.com",
        "ada@" + "a" * 64 + ".com", "ada@" + "abc." * 70 + "com", "ada@192.168.1.1", "ada@\u2603\u0000.com",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(CallError) as caught:
        normalise_email(typed)
    assert caught.value.field == "email"


@pytest.mark.parametrize("letter", ["ß", "ẞ", "\u03c2", "\u200c", "\u200d"])
def test_a_domain_that_could_be_two_is_refused(letter: str) -> None:
    with pytest.raises(CallError, match="xn--"):
        normalise_email(f"ada@fa{letter}b.example")


def test_long_text_is_refused_before_it_is_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred thousand combining marks would take a minute."""
    monkeypatch.setattr("strongroom.platform.keys.emails.unicodedata", None)
    with pytest.raises(CallError):
        normalise_email("a" * 309 + "@example.com")
