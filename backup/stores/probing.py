"""Tries out what a store's credentials may do, and says which right is missing or too much."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from ...config.errors import FailedError, RefusedError, StrongroomError, VerificationError
from ...config.stores import StoreSettings
from .contract import Store
from .opening import Place, open_place

_FOLDER = "check"  # nothing else of ours is named so


@dataclass(frozen=True, slots=True)
class Tried:
    """One right, and whether it is as it should be."""

    what: str
    ok: bool
    detail: str


def probe(store: StoreSettings) -> list[Tried]:
    """Try everything that backups, retention and key copies need; leave nothing behind but what a lock keeps.

    Raises `FailedError` when the store cannot be reached, `CallError`, `NotFoundError`, `RefusedError` for credentials.
    """
    place = open_place(store)
    list(place.backups.list(_FOLDER))  # unreachable, no bucket, wrong credentials: one sentence instead of many
    pruning = open_place(store, pruning=True)
    return [*_backups(store, place, pruning), *_keys(place, pruning), *_versions(store)]


def _backups(store: StoreSettings, place: Place, pruning: Place) -> list[Tried]:
    name, content = f"{_FOLDER}/{secrets.token_hex(8)}", secrets.token_bytes(1000)
    tried = [
        _needed("write", lambda: _create(place.backups, name, content)),
        _needed("read", lambda: _compare(place.backups, name, content)),
        _needed("list", lambda: _find(place.backups, name)),
        _needed("never overwrite", lambda: _refuse_second(place.backups, name)),
        _needed("see unfinished uploads", lambda: list(pruning.backups.abandoned())),
    ]
    if store.prune_credentials:
        tried.append(_forbidden(place.backups, name))
    tried.append(_needed("delete (pruning)", lambda: _remove(pruning.backups, name)))
    return tried if store.prune_credentials or store.scheme == "file" else [*tried, _advice()]


def _advice() -> Tried:
    """It works; it could be safer."""
    detail = "set prune_credentials, and take the right to delete away from the credentials that write"
    return Tried("a credential of its own for pruning", ok=True, detail=detail)


def _keys(place: Place, pruning: Place) -> list[Tried]:
    name = f"{_FOLDER}/{secrets.token_hex(8)}.json"
    return [
        _needed("write key copies", lambda: place.keys.replace(name, b"one")),
        _needed("replace key copies", lambda: place.keys.replace(name, b"two")),
        _needed("read key copies", lambda: _compare(place.keys, name, b"two")),
        _needed("delete key copies (pruning)", lambda: _remove(pruning.keys, name)),
    ]


def _versions(store: StoreSettings) -> list[Tried]:
    if store.scheme != "s3":
        return []
    from .buckets import key_bucket_keeps

    kept = key_bucket_keeps(store)
    detail = f"the bucket keeps what is deleted ({kept}): destroyed keys would live on in it" if kept else ""
    return [Tried("key copies are really deleted", not kept, detail)]


def _needed(what: str, work: Callable[[], object]) -> Tried:
    try:
        work()
    except StrongroomError as error:
        return Tried(what, ok=False, detail=str(error))
    return Tried(what, ok=True, detail="")


def _forbidden(store: Store, name: str) -> Tried:
    what = "no delete with the writing credential"
    try:
        store.delete(name)
    except FailedError:
        return Tried(what, ok=True, detail="")
    return Tried(what, ok=False, detail="it may delete: whoever takes the machine over could remove all backups")


def _create(store: Store, name: str, content: bytes) -> None:
    with store.create(name) as target:
        target.write(content)


def _compare(store: Store, name: str, content: bytes) -> None:
    with store.open(name) as file:
        if file.read() != content:
            raise VerificationError("What was read is not what was written.")


def _find(store: Store, name: str) -> None:
    if name not in [found.name for found in store.list(_FOLDER)]:
        raise VerificationError("What was written is not listed.")


def _refuse_second(store: Store, name: str) -> None:
    try:
        _create(store, name, b"another")
    except RefusedError:
        return
    raise VerificationError("The store has overwritten an object: it does not keep the condition of a write.")


def _remove(store: Store, name: str) -> None:
    store.delete(name)
    if store.exists(name):
        raise VerificationError("What was deleted is still there.")
