"""Mail to the operators of the installation. They have no workspace, so it waits nowhere: the caller tries again."""

from email.message import EmailMessage
from email.policy import SMTP

from ...config.errors import FailedError
from ...config.settings import Settings
from .outbox import write_message


def tell_operators(settings: Settings, message_id: str, subject: str, body: str) -> bool:
    """Send a message to `operator_email`; False where nobody is named there.

    A repeat with the same id is no second message. Raises `FailedError` when it cannot be delivered now.
    """
    if not settings.operator_email:
        return False
    message = EmailMessage(policy=SMTP)
    message["From"] = f"Strongroom <no-reply@{settings.base_domain}>"
    message["To"] = settings.operator_email
    message["Subject"] = subject
    message["Message-ID"] = f"<{message_id}@{settings.base_domain}>"
    message.set_content(body)
    try:
        write_message(settings.outbox_dir, f"{message_id}.eml", message.as_bytes())
    except OSError as error:
        raise FailedError(f"The mail to {settings.operator_email} cannot be written: {error.strerror}.") from error
    return True
