"""Mail to the operators of the installation. They have no workspace, so it waits nowhere: the caller tries again."""

from datetime import UTC, datetime

from ...config.errors import FailedError
from ...config.settings import Settings
from .letters import Letter, compose
from .outbox import write_message
from .server import MailServer

_SECONDS = 15.0  # whoever tells operators does other work, and comes again
_ACCEPT_SECONDS = 60.0


def tell_operators(settings: Settings, message_id: str, subject: str, body: str) -> bool:
    """Send a message to `operator_email`; False where nobody is named there.

    A repeat has the same Message-ID: of one whose acceptance was lost, mail programs show one. Raises `FailedError`
    when it cannot be delivered now.
    """
    if not settings.operator_email:
        return False
    write_to(settings, settings.operator_email, message_id, subject, body)
    return True


def write_to(settings: Settings, recipient: str, message_id: str, subject: str, body: str) -> None:
    """Send a message that is no workspace's at once: to the mail server, or as a file where none is configured.

    Raises `FailedError` when it cannot be delivered now, `RefusedError` for a password file that others may read.
    """
    letter = Letter(message_id, recipient, subject, body, datetime.now(UTC))
    message = compose(letter, settings, html=False)
    if settings.smtp_host:
        with MailServer(settings, _SECONDS, _ACCEPT_SECONDS) as server:
            server.send(message, recipient)
        return
    try:
        write_message(settings.outbox_dir, f"{message_id}.eml", message.as_bytes())
    except OSError as error:
        raise FailedError(f"The mail to {recipient} cannot be written: {error.strerror}.") from error
