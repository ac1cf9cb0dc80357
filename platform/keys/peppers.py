"""A fresh pepper for new password hashes, while those made with earlier ones go on working.

A hash is made again with the present pepper when its member next signs in with the right password. Whoever calls this
holds the lock on the keys of the platform: of two at once one would lose the other's pepper.
"""

from contextlib import suppress

from ...config.errors import NotFoundError, StrongroomError
from .passwords import pepper_id
from .records import PlatformKeys
from .store import KeyStore


def rotate_pepper(keys: KeyStore) -> PlatformKeys:
    """Make a fresh pepper, durable with its copy on return; the earlier ones stay.

    The copy is written first. A rotation that was killed between the two is finished by the next one, not begun again.
    """
    known = keys.platform()
    keys.replace_platform(_begun(keys, known) or known.with_new_pepper())
    return keys.platform()


def retire_pepper(keys: KeyStore, wanted: str) -> PlatformKeys:
    """Forget the earlier pepper of this id for good: hashes made with it fit no password any more.

    Raises `NotFoundError` where no earlier pepper has this id.
    """
    keys.replace_platform(keys.platform().without_pepper(earlier_pepper(keys, wanted)))
    return keys.platform()


def earlier_pepper(keys: KeyStore, wanted: str) -> bytes:
    """The earlier pepper of this id. Raises `NotFoundError`."""
    for pepper in keys.platform().earlier_peppers:
        if pepper_id(pepper) == wanted:
            return pepper
    raise NotFoundError(f"There is no earlier pepper “{wanted[:40]}”; `strongroom key status` lists them.")


def _begun(keys: KeyStore, known: PlatformKeys) -> PlatformKeys | None:
    """What the second copy holds, where it is exactly one pepper ahead of the store; an older one never counts."""
    with suppress(FileNotFoundError, StrongroomError):
        copy = keys.platform_copy()
        if copy == known.with_pepper(copy.pepper):
            return copy
    return None
