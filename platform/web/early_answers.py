"""Answers to requests that the application never sees: what cannot be read, is too slow, or finds no room."""

from dataclasses import dataclass, field
from http import HTTPStatus

from .security import HSTS


@dataclass(slots=True)
class Answer:
    """A whole answer."""

    status: int = 500
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    body: bytes = b""


class RefusedRequestError(Exception):
    """Raised for a request that the application never sees. `status` is the answer's."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def too_busy() -> RefusedRequestError:
    """There is no thread, or no memory, for this request just now."""
    return RefusedRequestError(HTTPStatus.SERVICE_UNAVAILABLE, "Busy right now. Please try again in a few seconds.")


def refusal(status: HTTPStatus, sentence: str) -> Answer:
    """The answer to a request that the application never sees; the connection ends with it."""
    body = f"{sentence}\n".encode()
    headers = [
        ("Strict-Transport-Security", HSTS),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Connection", "close"),
    ]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append(("Retry-After", "5"))
    return Answer(status, headers, body)
