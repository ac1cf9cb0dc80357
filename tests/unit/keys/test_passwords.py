"""Password hashes: no 72-byte limit, no NUL trouble, useless without the pepper, bounded in number."""

import base64
import hmac
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed

import bcrypt
import pytest

from strongroom.config.errors import CallError, UnavailableError
from strongroom.platform.keys import dummy_verify, hash_password, passwords, verify_password
from strongroom.platform.keys.hashing_room import HashingRoom

PEPPER = os.urandom(32)
FAST = 4


@pytest.mark.parametrize("password", ["correct horse", "\N{FIRE}" * 64, "with\x00nul", "\x00", " ", "é", "x" * 1024])
def test_a_password_fits_its_own_hash_only(password: str) -> None:
    stored = hash_password(password, PEPPER, FAST)
    assert verify_password(password, stored, PEPPER)
    assert not verify_password(password + "!" if len(password) < 1024 else "y", stored, PEPPER, cost=FAST)
    assert not verify_password("", stored, PEPPER, cost=FAST)


def test_two_passwords_that_share_72_bytes_differ() -> None:
    stored = hash_password("x" * 72 + "a", PEPPER, FAST)
    assert verify_password("x" * 72 + "a", stored, PEPPER)
    assert not verify_password("x" * 72 + "b", stored, PEPPER)


def test_what_follows_a_nul_counts() -> None:
    assert not verify_password("a\x00c", hash_password("a\x00b", PEPPER, FAST), PEPPER)


def test_the_default_is_bcrypt_with_cost_12() -> None:
    scheme, _, rest = hash_password("correct horse", PEPPER).partition("$")
    assert scheme == "sr1"
    assert rest.partition("$")[2].startswith("$2b$12$")


def test_a_hash_is_useless_without_the_pepper() -> None:
    stored = hash_password("correct horse", PEPPER, FAST)
    assert not verify_password("correct horse", stored, os.urandom(32))
    assert not bcrypt.checkpw(b"correct horse", stored.split("$", 2)[2].encode())


def test_the_hash_is_the_published_construction() -> None:
    hashed = hash_password("correct horse", PEPPER, FAST).split("$", 2)[2].encode()
    assert bcrypt.checkpw(base64.b64encode(hmac.digest(PEPPER, b"correct horse", "sha384")), hashed)


@pytest.mark.parametrize("stored", ["", "plain", "sr2$00000000$x", "$2b$04$" + "a" * 53])
def test_a_hash_of_another_scheme_fits_nothing(stored: str) -> None:
    assert not verify_password("plain", stored, PEPPER)


def test_a_password_above_1_kib_is_refused() -> None:
    stored = hash_password("x", PEPPER, FAST)
    for refused in ("x" * 1025, "é" * 513):
        with pytest.raises(CallError, match="1024 bytes"):
            hash_password(refused, PEPPER, FAST)
        with pytest.raises(CallError, match="1024 bytes"):
            verify_password(refused, stored, PEPPER)
        with pytest.raises(CallError, match="1024 bytes"):
            dummy_verify(refused, PEPPER, FAST)


def test_an_empty_password_is_no_password() -> None:
    with pytest.raises(CallError):
        hash_password("", PEPPER, FAST)


def test_an_unknown_user_costs_as_much_as_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = hash_password("correct horse", PEPPER, 5)
    costs: list[bytes] = []

    def noted(secret: bytes, salt: bytes, real: Callable[[bytes, bytes], bytes] = bcrypt.hashpw) -> bytes:
        costs.append(salt[:7])
        return real(secret, salt)

    monkeypatch.setattr(bcrypt, "hashpw", noted)
    assert not verify_password("wrong", stored, PEPPER, (), 5)
    dummy_verify("wrong", PEPPER, 5)
    assert costs == [b"$2b$05$"] * 2


def test_only_so_many_hash_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = passwords.concurrency()
    monkeypatch.setattr(passwords, "room", HashingRoom(limit))
    all_in = threading.Barrier(limit)
    running, most = 0, 0

    def slow(secret: bytes, salt: bytes) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        all_in.wait(30)
        time.sleep(0.02)  # so that one too many would be seen
        running -= 1
        return secret + salt

    monkeypatch.setattr(bcrypt, "hashpw", slow)
    with ThreadPoolExecutor(4 * limit) as pool:
        tries = [pool.submit(hash_password, "x", PEPPER, FAST) for _ in range(4 * limit)]
        assert all(each.result() for each in tries)
    assert most == limit


def test_who_waits_too_long_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(passwords, "room", HashingRoom(passwords.concurrency()))
    go_on = threading.Event()

    def very_slow(secret: bytes, salt: bytes) -> bytes:
        go_on.wait(30)
        return secret + salt

    monkeypatch.setattr(bcrypt, "hashpw", very_slow)
    with ThreadPoolExecutor(passwords.concurrency() + 1) as pool:
        tries = [pool.submit(hash_password, "x", PEPPER, FAST) for _ in range(passwords.concurrency() + 1)]
        refused = next(as_completed(tries, 30))
        go_on.set()
        assert isinstance(refused.exception(), UnavailableError)


def test_a_long_password_is_refused_before_it_is_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred thousand combining marks would take a minute."""
    monkeypatch.setattr("strongroom.platform.keys.passwords.unicodedata", None)
    with pytest.raises(CallError, match="too long"):
        dummy_verify("x" * 1025, PEPPER, FAST)
