"""Mail that waits in a workspace's outbox is sent once, whoever finds it first."""

from email import message_from_bytes, policy
from email.message import EmailMessage

from strongroom.platform.control.platform import Platform
from strongroom.platform.keys.fields import FieldCipher
from strongroom.platform.mail import outbox
from strongroom.platform.mail.delivery import deliver_mail, deliver_waiting
from strongroom.platform.tenants.records import Tenant


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
