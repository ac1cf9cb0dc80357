"""What a worker would do for who has asked for a link, and what then lies in the mailbox."""

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from sqlalchemy import text

from strongroom.platform.portal.recovery.letters import SEND
from strongroom.platform.portal.recovery.tasks import send_recovery_link

Portal = Any  # the fixture's class, in conftest.py
_TAKE = text("""
    UPDATE procrastinate_jobs SET status = 'succeeded' WHERE task_name = :task AND status = 'todo' RETURNING args
""")


def waiting(portal: Portal) -> list[dict[str, str]]:
    """Take the jobs that wait; what they are called with."""
    with portal.platform.control.begin() as control:
        return [row.args for row in control.execute(_TAKE, {"task": SEND})]


def deliver(portal: Portal) -> list[EmailMessage]:
    """Do the jobs that wait; the mails that came of it."""
    folder = portal.platform.settings.outbox_dir
    before = set(folder.glob("*.eml"))
    for asked in waiting(portal):
        send_recovery_link(portal.platform, **asked)
    new = [path for path in folder.glob("*.eml") if path not in before]
    return [message_from_bytes(path.read_bytes(), _class=EmailMessage, policy=policy.default) for path in new]


def link_in(mail: EmailMessage) -> str:
    """The path of the link in the text of a mail."""
    part = mail.get_body(("plain",))
    assert part
    found = re.search(r"https://[^/\s]+(/(?:reset|unlock)/[\w-]+)", part.get_content())
    assert found, part.get_content()
    return found[1]


def asked_link(portal: Portal, browser: Any, email: str, purpose: str = "reset") -> str:
    """Ask for a link as somebody with a browser does; its path."""
    waiting(portal)
    browser.post(f"/{purpose}", {"email": email}, form="/reset")
    [mail] = deliver(portal)
    assert mail["To"] == email
    return link_in(mail)
