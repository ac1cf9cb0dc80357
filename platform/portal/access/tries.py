"""How often somebody may try to sign in: by address, by workspace and by account, counted before anything is looked at.

In this order: an address that is over its limit uses up nothing of the others. Accounts that do not exist are counted
as those that do. A browser whose owner has shown that the account's mailbox is theirs has tries of its own.
"""

import secrets
import time
from contextlib import AbstractContextManager
from typing import cast

from flask import session

from ...web import limits, tenant

PER_ADDRESS = "30 per minute"
ANYWHERE = "60 per minute"  # of one address, over all workspaces
PER_WORKSPACE = "120 per minute"
UNLOCKED_FOR = 30 * 60  # seconds
_UNLOCKED = "unlocked"  # in the signed cookie: account, name of its own tries, Unix time of its end


def count_address() -> None:
    """Count a try of this address, before anything that it sends is looked at. Raises `TooManyRequests`."""
    if _unlocked() is None:
        _hit_address()


def count(account: str) -> None:
    """Count a try to sign in as `account` (the blind index of what was typed). Raises `TooManyRequests`.

    The account's own count comes last: a try that another limit refuses does not make its owner wait.
    """
    if _own_tries(account) is None:
        if _unlocked() is not None:  # for another account
            _hit_address()
        limits.hit(PER_WORKSPACE, "sign-in", tenant.tenant().id)
    limits.hit_growing(*_key(account))


def given_back_if_busy(account: str) -> AbstractContextManager[None]:
    """Give the counted try as `account` back where the hashing room is full: its owner waits for nobody's flood."""
    return limits.given_back_if_busy(*_key(account))


def succeeded(account: str) -> None:
    """The right password came, or a new one was set: the next try is the first one."""
    limits.forget_growing("sign-in", tenant.tenant().id, account)


def unlock(account: str) -> None:
    """Let this browser, and no other, try again although the account is over its limit."""
    session[_UNLOCKED] = [account, secrets.token_urlsafe(16), int(time.time()) + UNLOCKED_FOR]


def _hit_address() -> None:
    limits.hit(ANYWHERE, "sign-in anywhere", limits.address())
    limits.hit(PER_ADDRESS, "sign-in", tenant.tenant().id, limits.address())


def _key(account: str) -> tuple[str, ...]:
    own = _own_tries(account)
    workspace = tenant.tenant().id
    return ("sign-in unlocked", workspace, account, own) if own else ("sign-in", workspace, account)


def _own_tries(account: str) -> str | None:
    kept = _unlocked()
    return kept[1] if kept and kept[0] == account else None


def _unlocked() -> tuple[str, str, int] | None:
    kept = session.get(_UNLOCKED)
    if not isinstance(kept, list):
        return None
    found = cast(tuple[str, str, int], kept)
    return found if time.time() < found[2] else None
