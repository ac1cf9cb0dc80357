"""One spelling for each e-mail address, so that look-up by a blind index finds it."""

import re
import unicodedata

from ...config.errors import CallError
from ..cards.masking import mask

_LONGEST = 254  # RFC 5321, with the angle brackets taken off
LONGEST_TYPED = 320  # characters that are looked at: the time of Unicode's normal form can grow with their square
_DEVIATING = frozenset("ß\u03c2\u200c\u200d")  # IDNA 2003 and 2008 read them otherwise (UTS 46, 4): another domain
_INCOMPLETE = "That is not a complete e-mail address, like name@example.com."
_LOCAL = re.compile(r"[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]{1,64}")
_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


def normalise_email(text: str) -> str:
    """Return the address in lower case, its domain in ASCII. Raises `CallError` if it is no address."""
    if len(text) > LONGEST_TYPED:
        raise CallError(_INCOMPLETE, field="email")
    local, at, domain = unicodedata.normalize("NFC", text.strip()).lower().rpartition("@")
    if _DEVIATING & set(domain):
        raise CallError("Type the domain of this address in its ASCII form, which begins with xn--.", field="email")
    try:
        domain = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        domain = ""
    address = f"{local}{at}{domain}"
    dots = local.startswith(".") or local.endswith(".") or ".." in local
    if mask(local) != local:  # of whom mail is sent to, an address cannot be masked
        raise CallError("This looks like a card number, not like an e-mail address.", field="email")
    if dots or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain) or len(address) > _LONGEST:
        raise CallError(_INCOMPLETE, field="email")
    return address
