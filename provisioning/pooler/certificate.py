"""The certificate a pooler proves itself by. It is its own authority: clients trust this one and nothing it signs.

Its key stays beside PgBouncer, the certificate goes to the control plane, from where every process knows whom to trust.
"""

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = timedelta(days=3650)
_RENEW_BEFORE = timedelta(days=30)
_CLOCK_SKEW = timedelta(hours=1)
_KEPT = 4  # several poolers may stand behind one name, and one may be about to change its certificate


def new_certificate(host: str) -> tuple[str, str]:
    """Make a key and a certificate for `host`, a name or an address; both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    # OpenSSL finds whom to trust by the subject: two certificates of one name would shadow each other.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Strongroom pooler {os.urandom(8).hex()}")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()


def serves(pem: str, host: str) -> bool:
    """Say whether a certificate names `host` and lasts."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    return _general_name(host) in names and certificate.not_valid_after_utc - _RENEW_BEFORE > datetime.now(UTC)


def trusts(authority: str, host: str) -> bool:
    """Say whether one of the certificates in `authority` names `host` and lasts."""
    return any(serves(_pem(one), host) for one in _certificates(authority))


def trusted(known: str | None, pem: str) -> str:
    """Return the certificates to trust once `pem` is in use: it, and the newest of those before."""
    before = [one for one in _certificates(known or "") if _pem(one) != pem]
    return "".join([*map(_pem, before[-_KEPT + 1 :]), pem])


def _certificates(authority: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(authority.encode()) if authority else []


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
