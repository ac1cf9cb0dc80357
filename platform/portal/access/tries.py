"""How often somebody may try to sign in: by address, by account and by workspace, counted before anything is looked at.

In this order: an address that is over its limit uses up nothing of the others. Accounts that do not exist are counted
as those that do. A browser whose owner has shown that the account's mailbox is theirs has tries of its own.
"""

import secrets
import time
from typing import cast

from flask import session

from ...web import limits, tenant

PER_ADDRESS = "30 per minute"
PER_WORKSPACE = "120 per minute"
UNLOCKED_FOR = 30 * 60  # seconds
_UNLOCKED = "unlocked"  # in the signed cookie: account, name of its own tries, Unix time of its end


def count(account: str) -> None:
    """Count a try to sign in as `account` (the blind index of what was typed). Raises `TooManyRequests`."""
    workspace, own = tenant.tenant().id, _own_tries(account)
    if own:
        limits.hit_growing("sign-in unlocked", workspace, account, own)
        return
    limits.hit(PER_ADDRESS, "sign-in", workspace, limits.address())
    limits.hit_growing("sign-in", workspace, account)
    limits.hit(PER_WORKSPACE, "sign-in", workspace)


def succeeded(account: str) -> None:
    """The right password came, or a new one was set: the next try is the first one."""
    limits.forget_growing("sign-in", tenant.tenant().id, account)


def unlock(account: str) -> None:
    """Let this browser, and no other, try again although the account is over its limit."""
    session[_UNLOCKED] = [account, secrets.token_urlsafe(16), int(time.time()) + UNLOCKED_FOR]


def _own_tries(account: str) -> str | None:
    kept = session.get(_UNLOCKED)
    if not isinstance(kept, list):
        return None
    whose, own, until = cast(tuple[str, str, int], kept)
    return own if whose == account and time.time() < until else None
