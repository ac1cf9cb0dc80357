"""What a request costs, counted: whoever attacks can time it."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import bcrypt
import pytest
from sqlalchemy import Engine, event


@dataclass
class Work:
    """The statements of all databases without what they were given, and the costs of the password hashes."""

    statements: list[str] = field(default_factory=list[str])
    hashes: list[int] = field(default_factory=list[int])


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Generator[Work]:
    """Count within this context."""
    work, real = Work(), bcrypt.hashpw

    def statement(_conn: Any, _cursor: Any, text: str, *_rest: Any) -> None:
        work.statements.append(" ".join(text.split())[:200])

    def hashed(secret: bytes, salt: bytes) -> bytes:
        work.hashes.append(int(salt[4:6]))
        return real(secret, salt)

    event.listen(Engine, "before_cursor_execute", statement)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(bcrypt, "hashpw", hashed)
            yield work
    finally:
        event.remove(Engine, "before_cursor_execute", statement)


def without_chance(page: str, *typed: str) -> str:
    """A page without what is different each time: tokens, nonces, and what was typed."""
    for word in typed:
        page = page.replace(word, "TYPED")
    page = re.sub(r'nonce="[^"]*"', "", page)
    page = re.sub(r'name="csrf_token" value="[^"]*"', "", page)
    return re.sub(r"\b\d+ seconds?\b", "SECONDS", page)
