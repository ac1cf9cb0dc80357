"""The same question about many databases: a few at a time, because most of it is waiting."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

Subject = TypeVar("Subject")
Answer = TypeVar("Answer")
Progress = Callable[[str], None]

_AT_A_TIME = 4  # the server has connections kept free for the platform (setup.PLATFORM_RESERVE); each takes up to three
_STEPS = 10


def side_by_side(
    ask: Callable[[Subject], Answer], subjects: Sequence[Subject], progress: Progress, what: str
) -> Generator[Answer]:
    """Yield the answers in the order in which they come; tell the progress ten times. The first exception ends it."""
    step = max(1, len(subjects) // _STEPS)
    with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="isolation") as pool:
        asked = [pool.submit(ask, subject) for subject in subjects]
        try:
            for number, done in enumerate(as_completed(asked), 1):
                yield done.result()
                if number % step == 0 or number == len(asked):
                    progress(f"{number} of {len(asked)} {what}")
        finally:
            pool.shutdown(cancel_futures=True)
