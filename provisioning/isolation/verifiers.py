"""The standing gate over logins: every role may change its own password, so the server's is held against ours."""

from collections.abc import Sequence

from ...config.errors import KeyMissingError
from ...platform.keys import DatabaseCredential, KeyStore
from ..names import Names
from ..sessions import Session
from .finding import Finding

_CHANGED = """
    SELECT pid FROM unnest(%s::text[], %s::text[]) AS known (pid, verifier)
    WHERE NOT strongroom.verifier_matches(pid, verifier)
"""
_MATCHES = "SELECT strongroom.verifier_matches(%s, %s)"


def login_findings(session: Session, keys: KeyStore, expected: Sequence[Names]) -> list[Finding]:
    """Check that each login is one that the key store knows; nobody but the server sees its verifier."""
    known: dict[str, str] = {}
    findings: list[Finding] = []
    for names in expected:
        try:
            known[names.pid] = keys.placement(names.pid).verifier
        except KeyMissingError:
            findings.append(Finding(names.role, "has no login in the key store"))
    changed = session.execute(_CHANGED, (list(known), list(known.values()))).fetchall()
    return findings + [one for row in changed for one in _changed(session, keys, Names(row[0]))]


def _changed(session: Session, keys: KeyStore, names: Names) -> list[Finding]:
    """Ask once more about one login: a rotation may have replaced it meanwhile, or been killed after it did."""
    try:
        if any(_matches(session, names, login) for login in keys.possible_logins(names.pid)):
            return []
    except KeyMissingError:
        return [Finding(names.role, "has no login in the key store")]
    return [Finding(names.role, "has another password than the one it was given")]


def _matches(session: Session, names: Names, login: DatabaseCredential) -> bool:
    return session.execute(_MATCHES, (names.pid, login.verifier)).fetchone() == (True,)
