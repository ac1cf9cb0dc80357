"""How long work says where it is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Step `number` of `total` of the work on `subject` (a slug, or “control”) has begun; the last one: is done."""

    subject: str
    step: str
    number: int
    total: int


Progress = Callable[[Event], None]


def silent(event: Event) -> None:
    """Say nothing."""
