"""The standing gate over logins: every role may change its own password, so the server's is held against ours."""

from collections.abc import Sequence

from ...config.errors import KeyMissingError
from ...platform.keys import KeyStore
from ..names import Names
from ..sessions import Session
from .finding import Finding

_CHANGED = """
    SELECT pid FROM unnest(%s::text[], %s::text[]) AS known (pid, verifier)
    WHERE NOT strongroom.verifier_matches(pid, verifier)
"""


def login_findings(session: Session, keys: KeyStore, expected: Sequence[Names]) -> list[Finding]:
    """Check that each login is the one that the key store knows; nobody but the server sees its verifier."""
    known: dict[str, str] = {}
    findings: list[Finding] = []
    for names in expected:
        try:
            known[names.pid] = keys.placement(names.pid).verifier
        except KeyMissingError:
            findings.append(Finding(names.role, "has no login in the key store"))
    changed = session.execute(_CHANGED, (list(known), list(known.values()))).fetchall()
    return findings + [Finding(Names(row[0]).role, "has another password than the one it was given") for row in changed]
