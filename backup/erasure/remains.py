"""What is left of an erased account, until when, and why nobody reads it: said on the certificate, plainly."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from ...config.settings import Settings
from ...platform.control.platform import Platform
from ...platform.protection.policy import policy_of
from ..archive.expiry import last_log_key_expiry
from ..header import timestamp
from .records import Document


def longest_kept(settings: Settings) -> timedelta:
    """Return how long a backup is kept at most, whatever counts it."""
    return policy_of(settings).longest_kept


def remains(platform: Platform, detail: Document, ended_at: datetime) -> list[Document]:
    """Return what is left, each with a date until which, where there is one."""
    return [
        *_log(platform, ended_at),
        *_control_copies(platform.settings, ended_at),
        *_locked(detail),
        *_lost_stores(detail),
        *_server_disks(detail),
        *repositories(platform.settings, detail),
        *_copies(detail),
    ]


def _log(platform: Platform, ended_at: datetime) -> Iterator[Document]:
    expiry = last_log_key_expiry(platform, ended_at)
    if expiry is None:
        yield _left("archive of the database log", "None is kept.", None)
        return
    sentence = (
        "Base backups and the log of whole servers, encrypted under keys that change daily. They hold what the "
        "account wrote before it was erased; the last key that opens it is destroyed at the time given, and no command "
        "restores an erased account from them."
    )
    yield _left("archive of the database log", sentence, expiry)


def _control_copies(settings: Settings, ended_at: datetime) -> Iterator[Document]:
    sentence = (
        "Older copies of the control database hold the account's id, address and name, plan and times. An e-mail "
        "address in them is sealed under a key that is destroyed."
    )
    yield _left("backups of the control database", sentence, ended_at + longest_kept(settings))


def _locked(detail: Document) -> Iterator[Document]:
    for store, objects in detail.get("objects", {}).items():
        dates = [facts["locked_until"] for facts in objects.values() if "locked_until" in facts]
        if dates:
            sentence = f"{len(dates)} objects cannot be removed yet. Their key is destroyed: nobody can read them."
            yield {"what": f"locked objects in the store “{store}”", "sentence": sentence, "until": max(dates)}


def _lost_stores(detail: Document) -> Iterator[Document]:
    for store in detail.get("lost_stores", {}):
        sentence = (
            "The settings no longer name this store, so nothing was removed there: neither backups nor the copies of "
            "the account's keys, which whoever has the master key can read. Destroy that store."
        )
        yield _left(f"copies in the store “{store}”", sentence, None)


def _server_disks(detail: Document) -> Iterator[Document]:
    for server in sorted({facts["server"] for facts in detail.get("databases", {}).values()}):
        sentence = (
            "The database's files are deleted. The server's current log files hold recent changes until they are "
            "written over, and freed blocks of the disk may: names, addresses, notes and receipts only sealed under a "
            "destroyed key; amounts, dates and merchants are protected by the encryption of the disk alone."
        )
        yield _left(f"disk of the database server “{server}”", sentence, None)


def repositories(settings: Settings, detail: Document) -> Iterator[Document]:
    """Yield the repositories of pgBackRest that hold what the account wrote, under keys that are not ours."""
    on = {facts["server"] for facts in detail.get("databases", {}).values()}
    for stanza in settings.pgbackrest:
        if stanza.server in on:
            sentence = (
                "Base backups and log of the whole server, under a key that is not ours to destroy. What the account "
                "wrote leaves it when pgBackRest's own retention ends; amounts, dates and merchants are readable there."
            )
            yield _left(f"pgBackRest's repository “{stanza.stanza}” of the server “{stanza.server}”", sentence, None)


def _copies(detail: Document) -> Iterator[Document]:
    if copies := sorted(detail.get("copied_into", {})):
        sentence = "Made from this one before, with keys and owners of their own; they are not part of this erasure."
        yield _left(f"other workspaces: {', '.join(copies)}", sentence, None)


def _left(what: str, sentence: str, until: datetime | None) -> Document:
    return {"what": what, "sentence": sentence, "until": timestamp(until) if until else None}
