"""Which names a workspace may have: they become host names."""

import re

from ...config.errors import CallError
from ..cards.masking import mask

_SHAPE = re.compile(r"[a-z][a-z0-9-]{1,38}[a-z0-9]")

# Names that a visitor would take for the service itself, or that mail and browsers treat in their own way.
_RESERVED_WORDS = """
about abuse account accounts admin administrator affiliate api app apps assets auth autoconfig autodiscover
    backup backups beta billing blog board careers cdn chat compliance console contact control dashboard data database
    demo-admin dev developer developers dns docs download downloads edge email embed enterprise faq feedback files ftp
    git guest health help home host hostmaster image images imap img inbound info internal investors invoice invoices
    ipv4 ipv6 isatap jobs js legal localhost login logout mail mailer media metrics mobile monitor monitoring mx
    news no-reply noreply ns1 ns2 ns3 ns4 oauth operator operators ops owner pay payment payments pop3 portal
    postmaster preview pricing privacy production public register registry report-abuse root sandbox secure security
    server setup shop sign-in sign-up signin signup site smtp sso ssl staff staging static stats status store strongroom
    support sysadmin system team terms test testing tls trust uploads user users verify vpn webhook webhooks webmail
webmaster wpad www www2
"""
RESERVED = frozenset(_RESERVED_WORDS.split())


def check_slug(slug: str) -> str:
    """Return `slug`. Raises `CallError` with the reason if no workspace may have that name."""
    if not _SHAPE.fullmatch(slug):
        raise CallError(
            f"“{slug[:60]}” cannot be a workspace address: use 3 to 40 lower-case letters, digits and single hyphens, "
            "starting with a letter and not ending with a hyphen.",
            field="slug",
        )
    if "--" in slug:
        raise CallError(f"“{slug}” cannot be a workspace address: no two hyphens in a row.", field="slug")
    if slug in RESERVED:
        raise CallError(f"“{slug}” is a reserved name; choose another workspace address.", field="slug")
    return slug


def check_name(name: str) -> str:
    """Return a workspace's name without surplus space. Raises `CallError` unless it has 1–100 printable characters."""
    name = mask(" ".join(name.split()))
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise CallError("The workspace's name needs 1 to 100 printable characters.", field="name")
    return name
