"""Mail that waits in a workspace's outbox is sent once, whoever finds it first."""

import os
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage

from sqlalchemy import func

from strongroom.platform.control.platform import Platform
from strongroom.platform.keys.fields import FieldCipher
from strongroom.platform.mail import outbox
from strongroom.platform.mail.delivery import deliver_mail, deliver_waiting
from strongroom.platform.mail.upkeep import forget_mail
from strongroom.platform.tenants.records import Tenant
from strongroom.tenant_schema.tables import outbox as table


def letters_to(platform: Platform, recipient: str) -> list[EmailMessage]:
    folder = platform.settings.outbox_dir
    found = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in folder.glob("*.eml")]
    return [letter for letter in found if letter["To"] == recipient]


def queue(platform: Platform, tenant: Tenant, recipient: str) -> None:
    cipher = FieldCipher(platform.keys.tenant(tenant.id))
    with platform.registry.connect(tenant) as conn, conn.begin():
        outbox.queue(conn, cipher, recipient, "A subject", "A body")


def test_the_owners_letter_is_out_as_soon_as_the_workspace_is_ready(platform: Platform, tenant: Tenant) -> None:
    subjects = {message_from_bytes(p.read_bytes())["Subject"] for p in platform.settings.outbox_dir.glob("*.eml")}
    assert f"Your workspace {tenant.name} is ready" in subjects
    assert deliver_waiting(platform, tenant) == 0


def test_what_a_crash_left_waiting_is_sent_by_the_worker_and_only_once(platform: Platform, tenant: Tenant) -> None:
    queue(platform, tenant, "waiting@example.com")
    assert letters_to(platform, "waiting@example.com") == []
    deliver_mail(platform)
    deliver_mail(platform)
    (letter,) = letters_to(platform, "waiting@example.com")
    assert letter["Subject"] == "A subject"
    assert letter.get_body(("plain",)).get_content().strip() == "A body"  # pyright: ignore[reportOptionalMemberAccess]


def test_a_letter_that_cannot_be_written_waits_for_the_next_time(platform: Platform, tenant: Tenant) -> None:
    queue(platform, tenant, "later@example.com")
    folder = platform.settings.outbox_dir
    aside = folder.rename(folder.with_name("outbox-aside"))
    folder.write_text("a file where the folder should be")
    try:
        assert deliver_waiting(platform, tenant) == 0
    finally:
        folder.unlink()
        aside.rename(folder)
    assert deliver_waiting(platform, tenant) == 1
    assert len(letters_to(platform, "later@example.com")) == 1


def test_old_mail_is_forgotten_and_what_waits_is_not(platform: Platform, tenant: Tenant) -> None:
    ages = {"sent@old.example": ("sent_at", 31), "sent@new.example": ("sent_at", 29), "waits@old.example": (None, 400)}
    ages |= {"failed@old.example": ("failed_at", 91), "failed@new.example": ("failed_at", 89)}
    cipher = FieldCipher(platform.keys.tenant(tenant.id))
    with platform.registry.connect(tenant) as conn, conn.begin():
        ids = {recipient: outbox.queue(conn, cipher, recipient, "A subject", "A body") for recipient in ages}
        for recipient, (column, days) in ages.items():
            at = func.now() - timedelta(days=days)
            values = {"created_at": at} | ({column: at} if column else {})
            conn.execute(table.update().where(table.c.id == ids[recipient]).values(values))
    forget_mail(platform)
    with platform.registry.connect(tenant) as conn, conn.begin():
        left = set(conn.scalars(table.delete().where(table.c.id.in_(ids.values())).returning(table.c.id)))
    kept = {recipient for recipient, row_id in ids.items() if row_id in left}
    assert kept == {"sent@new.example", "waits@old.example", "failed@new.example"}


def test_old_files_of_the_outbox_are_removed(platform: Platform) -> None:
    folder = platform.settings.outbox_dir
    old, new = folder / "old.eml", folder / "new.eml"
    for path in (old, new):
        path.write_text("Subject: one\n\n")
    os.utime(old, (0, new.stat().st_mtime - timedelta(days=31).total_seconds()))
    forget_mail(platform)
    assert not old.exists()
    assert new.exists()
    new.unlink()
