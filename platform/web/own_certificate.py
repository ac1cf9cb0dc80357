"""The operator's own certificate: checked, then copied into the home, from where it is served.

What is served is always a copy that was found good. So a file that is half written, or belongs to another key, changes
nothing: the earlier certificate stays, and the log and `strongroom status` say why.
"""

import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ...config.errors import FailedError
from ...config.settings import Settings


@dataclass(frozen=True, slots=True)
class Standing:
    """The certificate that is served: until when, which names of ours it lacks, and why a newer one is not used."""

    until: datetime
    lacking: tuple[str, ...] = ()
    refused: str | None = None


def read_own(settings: Settings) -> bytes:
    """The chain and the key that the settings name, as one PEM text. Raises `FailedError` that says what is wrong."""
    certificate, key = settings.own_certificate or (Path(), Path())
    chain = _chain(_read(certificate), certificate)
    leaf = chain[0]
    if leaf.not_valid_after_utc <= datetime.now(UTC):
        ended = f"{leaf.not_valid_after_utc:%d %B %Y}"
        raise FailedError(f"The certificate in {certificate} has ended on {ended}; renew it.")
    # The certificates alone: a file that holds the key, too, must not put it there twice.
    whole = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain) + _plain_key(_read(key), key)
    _check_pair(whole, certificate, key)
    return whole


def read_authority(path: Path) -> bytes:
    """The certificates in `path`, as PEM. Raises `FailedError` that says what is wrong."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in _chain(_read(path), path))


def standing(settings: Settings, served: Path) -> Standing:
    """How the certificate in `served` stands. Raises `OSError` or `ValueError` where there is none."""
    leaf = x509.load_pem_x509_certificate(served.read_bytes())
    names = _names(leaf)
    wanted = (settings.base_domain, f"*.{settings.base_domain}")
    refused = None
    if settings.own_certificate:
        try:
            read_own(settings)
        except FailedError as error:
            refused = str(error)
    return Standing(leaf.not_valid_after_utc, tuple(name for name in wanted if name not in names), refused)


def _names(leaf: x509.Certificate) -> set[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {name.lower() for name in found.get_values_for_type(x509.DNSName)}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FailedError(f"{path} cannot be read: {error.strerror}.") from error


def _chain(text: bytes, path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError as error:
        raise FailedError(f"{path} holds no certificate in PEM form.") from error


def _plain_key(secret: bytes, path: Path) -> bytes:
    try:
        key = serialization.load_pem_private_key(secret, None)
    except (ValueError, TypeError) as error:
        raise FailedError(f"{path} holds no private key in PEM form without a password.") from error
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def _check_pair(whole: bytes, certificate: Path, key: Path) -> None:
    """Whether OpenSSL serves with them. It reads files only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.pem"
        path.touch(0o600)
        path.write_bytes(whole)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
        except ssl.SSLError as error:
            raise FailedError(f"The key in {key} does not belong to the certificate in {certificate}.") from error
