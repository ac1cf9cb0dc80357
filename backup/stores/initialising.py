"""`store init`: makes the place of a backup store, as far as its kind lets us."""

from pathlib import Path

from ...config.stores import StoreSettings, folder_of
from ...platform.keys import durable
from .buckets import Step, set_up_buckets
from .credentials import read_credentials
from .objects import Patience
from .opening import open_place
from .separation import BACKUPS, check_keys_url, check_lock, keys_url

_BY_HAND = "to be made by hand, see docs/operations.md"


def set_up(store: StoreSettings, credentials: Path | None = None) -> list[Step]:
    """Make bucket or folder, with what protects it; return the steps. Idempotent.

    `credentials` of somebody who may set buckets up, else those of the store. Raises `FailedError`, and what is wrong
    with the settings.
    """
    check_keys_url(store)
    check_lock(store)
    match store.scheme:
        case "file":
            return [_folder(store.folder / BACKUPS), _folder(folder_of(keys_url(store)))]
        case "s3":
            return set_up_buckets(store, credentials)
        case "sftp":
            return _remote_folders(store, credentials)
        case _:
            return _bucket_by_hand(store)


def _folder(path: Path) -> Step:
    there = path.is_dir()
    durable.make_folder(path)
    return Step(str(path), "folder", "as it was" if there else "made")


def _remote_folders(store: StoreSettings, credentials: Path | None) -> list[Step]:
    from urllib.parse import urlsplit

    from .sftp import SftpStore
    from .ssh import login_to

    login = login_to(store, read_credentials(store, credentials or store.credentials), Patience())
    folders = [urlsplit(url).path for url in (f"{store.url.rstrip('/')}/{BACKUPS}", keys_url(store))]
    outcomes = [(folder, SftpStore(store.name, login, folder).make_root()) for folder in folders]
    return [Step(folder, "folder", "made" if made else "as it was") for folder, made in outcomes]


def _bucket_by_hand(store: StoreSettings) -> list[Step]:
    """Look whether the bucket is there; its rules are the provider's own affair."""
    list(open_place(store).backups.list("check"))
    steps = [Step(store.url, "bucket", "as it was"), Step(store.url, "rules that clear up", _BY_HAND)]
    return [*steps, Step(store.url, "object lock", _BY_HAND)] if store.lock_days else steps
