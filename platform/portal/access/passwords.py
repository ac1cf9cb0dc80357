"""Which passwords are accepted: those that nobody guesses, after NIST SP 800-63B-4, 3.1.1.2.

Length and known-bad words count, composition does not: a few words in a row are fine, `P@ssw0rd2026!` is not. How many
guesses a password takes is estimated by zxcvbn (Wheeler, USENIX Security 2016), to which the words around the person
are known. Nothing is asked of another server.
"""

import re
from typing import Any, cast

from zxcvbn import matching, scoring  # pyright: ignore[reportMissingTypeStubs]

from ....config.errors import CallError
from ...keys.passwords import LONGEST
from .common import is_common, plain_form

SHORTEST = 12
GUESSES = 10**9  # fewer are tried in a moment, were the hashes ever stolen with the pepper
ESTIMATED = 72  # characters: the estimate's time grows with the square of the length
_FIELD = "password"


def check_password(password: str, email: str, workspace: str, name: str = "") -> None:
    """Raise `CallError` that says what is wrong with `password` for this person."""
    if len(password) < SHORTEST:
        raise CallError(f"Use at least {SHORTEST} characters; a few words in a row are easy to remember.", _FIELD)
    if len(password.encode("utf-8", "surrogatepass")) > LONGEST:
        raise CallError(f"The password is too long; the limit is {LONGEST} bytes.", _FIELD)
    if plain_form(password) in (email.casefold(), email.casefold().partition("@")[0]):
        raise CallError("Your e-mail address is the first thing that is tried. Choose something else.", _FIELD)
    if is_common(password) or guesses(password, (email, workspace, name)) < GUESSES:
        raise CallError("This is among the first things that are tried. Choose something less expected.", _FIELD)


def guesses(password: str, around: tuple[str, ...] = ()) -> float:
    """How many guesses `password` withstands, estimated, of somebody who knows the words `around` the person.

    Not by `zxcvbn.zxcvbn`: that keeps these words in a dictionary that all threads share.
    """
    known: dict[str, dict[str, int]] = {
        **cast(Any, matching).RANKED_DICTIONARIES,
        "user_inputs": {word: rank for rank, word in enumerate(_words(around), 1)},
    }
    tried = plain_form(password)[:ESTIMATED]
    found = cast(Any, matching).omnimatch(tried, known)
    return float(cast(Any, scoring).most_guessable_match_sequence(tried, found)["guesses"])


def _words(texts: tuple[str, ...]) -> list[str]:
    """Each text whole, and its words: somebody's e-mail address is tried in parts, too."""
    whole = [plain_form(text) for text in (*texts, "strongroom")]
    parts = [word for text in whole for word in re.split(r"[\W_]+", text) if len(word) > 2]
    joined = ["".join(re.split(r"[\W_]+", text)) for text in whole]
    return list(dict.fromkeys(word for word in (*whole, *joined, *parts) if word))
