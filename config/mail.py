"""What the settings about mail must say together."""

import ipaddress
import re
from typing import TYPE_CHECKING

from .errors import CallError

if TYPE_CHECKING:
    from .settings import Settings

SECURITIES = ("starttls", "tls", "none")
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\\\"]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[?[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*\]?", re.ASCII)


def check_mail(settings: "Settings") -> None:
    """Raise `CallError` for the first setting about mail that is wrong, or does not go with the others."""
    for name in ("mail_from", "operator_email"):
        value = getattr(settings, name)
        if value and not _ADDRESS.fullmatch(value):
            raise CallError(f"The setting “{name}” must be one e-mail address, like name@example.com, not {value!r}.")
    if settings.smtp_security not in SECURITIES:
        raise CallError(f"smtp_security must be one of {', '.join(SECURITIES)}, not {settings.smtp_security!r}.")
    if bool(settings.smtp_user) != bool(settings.smtp_password_file):
        raise CallError("smtp_user and smtp_password_file belong together: set both, or neither.")
    if not settings.smtp_host:
        if settings.smtp_user or settings.smtp_authority:
            raise CallError("smtp_user and smtp_authority need smtp_host, the name of the mail server.")
        if settings.production:
            raise CallError("Production needs a mail server: set smtp_host, else no invitation and no alert arrives.")
        return
    if not _HOST.fullmatch(settings.smtp_host):
        raise CallError(f"smtp_host must be a host name alone, without port or scheme, not {settings.smtp_host!r}.")
    if settings.smtp_security == "none" and not is_loopback(settings.smtp_host):
        raise CallError('smtp_security = "none" is for a mail server on this machine; use "starttls" or "tls".')


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, can only be this machine. No name is looked up."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
