"""How a recovery says where it is."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

Advance = Callable[[str], None]


@contextmanager
def _uncounted(title: str, total: int) -> Generator[Advance]:
    del title, total
    yield _silent


def _silent(sentence: str) -> None:
    del sentence


@dataclass(frozen=True, slots=True)
class Watch:
    """`say` takes a sentence; `counting` shows how many of how many, with the rate and the time that remains."""

    say: Callable[[str], None] = _silent
    counting: Callable[[str, int], AbstractContextManager[Advance]] = _uncounted
