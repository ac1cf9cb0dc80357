"""Local certificate authority and the certificates it issues, made on first start and renewed by themselves.

The authority's certificate is limited by name constraints (RFC 5280, 4.2.1.10) to the base domain and the loopback
addresses: somebody who trusts it in a browser does not trust it for any other site.
"""

import fcntl
import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ...config.errors import FailedError
from ...config.settings import Settings
from .own_certificate import read_authority, read_own

_CA_LIFE = timedelta(days=3650)
_SERVER_LIFE = timedelta(days=90)
_RENEW_BEFORE = timedelta(days=30)
# The clock of the machine that checks a certificate may be a little behind ours.
_CLOCK_SKEW = timedelta(hours=1)
# A certificate grows with each name; an installation with more workspaces has a domain that a wildcard can cover.
MAX_NAMES = 100


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the certificates lie. A certificate and its key share one file of mode 0600, replaced whole.

    `server` is the operator's own where the settings name one. Behind a proxy the web processes serve with `worker`,
    and let in who shows `proxy`.
    """

    authority: Path
    server: Path
    worker: Path
    proxy: Path
    cdn: Path  # who signs the CDN's client certificate: a copy that was found good


def tls_files(settings: Settings) -> TlsFiles:
    """The files of this home, whether they exist yet or not."""
    folder = settings.tls_dir
    server = folder / ("own.pem" if settings.own_certificate else "server.pem")
    return TlsFiles(folder / "ca.pem", server, folder / "worker.pem", folder / "proxy.pem", folder / "cdn.pem")


def ensure_certificates(settings: Settings, slugs: Iterable[str] = ()) -> bool:
    """Make what is missing, near its end, or lacks a name; say whether the server certificate is a new one.

    `slugs` are the workspaces that exist. They are named one by one only when the base domain has no dot, because
    browsers and OpenSSL refuse a wildcard directly beneath a top-level name such as `*.localhost`.
    The operator's own certificate is copied instead, where the settings name one.
    Raises `FailedError` when the folder cannot be written, or the operator's files are not good.
    """
    files = tls_files(settings)
    wanted = server_names(settings, slugs)
    with _making(settings):
        authority_is_new = _ensure_authority(settings, files)
        if settings.own_certificate:
            return _adopt(files.server, read_own(settings))
        if authority_is_new or not _serves(files.server, wanted):
            _issue(settings, files.server, settings.base_domain, wanted, ExtendedKeyUsageOID.SERVER_AUTH)
            return True
    return False


def ensure_proxy_certificates(settings: Settings) -> None:
    """Make, or renew, what a proxy and the web processes behind it show each other.

    Raises `FailedError` when the folder cannot be written.
    """
    files = tls_files(settings)
    with _making(settings):
        authority_is_new = _ensure_authority(settings, files)
        if authority_is_new or not _signed(files.worker, files.authority):
            names = [settings.base_domain]
            _issue(settings, files.worker, settings.base_domain, names, ExtendedKeyUsageOID.SERVER_AUTH)
        if authority_is_new or not _signed(files.proxy, files.authority):
            _issue(settings, files.proxy, "Strongroom proxy", [], ExtendedKeyUsageOID.CLIENT_AUTH)


def ensure_cdn_authority(settings: Settings) -> None:
    """Copy the authority of the CDN. Raises `FailedError` when its file is not good or the folder cannot be written."""
    whole = read_authority(settings.cdn_authority_file)
    with _making(settings):
        _adopt(tls_files(settings).cdn, whole)


@contextmanager
def _making(settings: Settings) -> Generator[None]:
    """One process of a home at a time: several look after the same files."""
    try:
        settings.tls_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (settings.tls_dir / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise FailedError(f"The certificates in {settings.tls_dir} cannot be made: {error.strerror}.") from error


def _adopt(path: Path, whole: bytes) -> bool:
    if path.exists() and path.read_bytes() == whole:
        return False
    _write(path, whole, 0o600)
    return True


def server_names(settings: Settings, slugs: Iterable[str] = ()) -> list[str]:
    """DNS names that the server certificate must carry."""
    base = settings.base_domain
    names = [base, f"*.{base}"]
    if "." not in base:
        names += [f"{slug}.{base}" for slug in list(slugs)[:MAX_NAMES]]
    return names


def _ensure_authority(settings: Settings, files: TlsFiles) -> bool:
    key_file = settings.tls_dir / "ca-key.pem"
    if key_file.exists() and _lasts(files.authority) and _constrained_to(files.authority, settings.base_domain):
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Strongroom local CA ({settings.base_domain})")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(name, name, key.public_key(), _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(_constraints(settings.base_domain), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(key_file, _key_pem(key), 0o600)
    _write(files.authority, certificate.public_bytes(serialization.Encoding.PEM))
    return True


def _issue(settings: Settings, path: Path, subject: str, names: list[str], usage: x509.ObjectIdentifier) -> None:
    """Write a new key and its certificate for `usage`; one that has `names` has the loopback addresses, too."""
    authority = x509.load_pem_x509_certificate(tls_files(settings).authority.read_bytes())
    authority_key = serialization.load_pem_private_key((settings.tls_dir / "ca-key.pem").read_bytes(), None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise FailedError(f"{settings.tls_dir / 'ca-key.pem'} is no key of ours; remove the folder to start anew.")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        _builder(name, authority.subject, key.public_key(), _SERVER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
    )
    if names:
        addresses = [x509.IPAddress(IPv4Address("127.0.0.1")), x509.IPAddress(IPv6Address("::1"))]
        alternative = x509.SubjectAlternativeName([*map(x509.DNSName, names), *addresses])
        builder = builder.add_extension(alternative, critical=False)
    certificate = builder.sign(authority_key, hashes.SHA256())
    _write(path, certificate.public_bytes(serialization.Encoding.PEM) + _key_pem(key), 0o600)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _constraints(base_domain: str) -> x509.NameConstraints:
    permitted: list[x509.GeneralName] = [
        x509.DNSName(base_domain),
        x509.IPAddress(IPv4Network("127.0.0.0/8")),
        x509.IPAddress(IPv6Network("::1/128")),
    ]
    return x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None)


def _serves(path: Path, names: list[str]) -> bool:
    """Whether the certificate has all `names` and lasts; one that has more names is good enough."""
    if not _lasts(path):
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(names) <= set(alternative.get_values_for_type(x509.DNSName))


def _signed(path: Path, authority: Path) -> bool:
    """Whether the certificate lasts and is the present authority's: another base domain brings another authority."""
    if not _lasts(path):
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.read_bytes()))
    except (ValueError, InvalidSignature):
        return False
    return True


def _lasts(path: Path) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return certificate.not_valid_after_utc - _RENEW_BEFORE > datetime.now(UTC)


def _constrained_to(path: Path, base_domain: str) -> bool:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    return x509.DNSName(base_domain) in (constraints.permitted_subtrees or [])


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace `path` whole, so that a server which reads it at this moment sees the old or the new one."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    fresh.replace(path)
