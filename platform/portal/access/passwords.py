"""Which passwords are accepted: long ones, after NIST SP 800-63B: length and known-bad words, not composition."""

from ....config.errors import CallError

SHORTEST = 12
_WORN = ("password", "passw0rd", "qwerty", "letmein", "welcome", "iloveyou", "changeme", "administrator")
_RUNS = ("abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiopasdfghjklzxcvbnm")


def check_password(password: str, email: str, workspace: str) -> None:
    """Raise `CallError` that says what is wrong with `password` for this person."""
    if len(password) < SHORTEST:
        raise CallError(f"Use at least {SHORTEST} characters; a few words in a row are easy to remember.", "password")
    plain = password.casefold().strip()
    if plain in (email.casefold(), email.casefold().partition("@")[0]):
        raise CallError("Your e-mail address is the first thing that is tried. Choose something else.", "password")
    if _is_guessable(plain, workspace.casefold()):
        raise CallError("This is among the first things that are tried. Choose something less expected.", "password")


def _is_guessable(plain: str, workspace: str) -> bool:
    if len(set(plain)) < 4 or any(plain in run for run in _RUNS):
        return True
    core = plain.strip("0123456789!?.,-_ #*@$")
    halves_equal = len(core) % 2 == 0 and core[: len(core) // 2] == core[len(core) // 2 :]
    words = (*_WORN, workspace)
    return core in words or (halves_equal and core[: len(core) // 2] in words)
