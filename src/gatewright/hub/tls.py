"""The hub's certificates: an authority of its own, made once, and a server certificate signed by it.

Gateways verify the hub with `ca.pem`. The server certificate is made anew when it nears its end or when the hub gets
another name, the authority stays. All private keys are readable by the owner only.
"""

import ipaddress
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gatewright.hub.config import HubConfig
from gatewright.hub.private_files import write_private
from gatewright.hub.problems import HubStartError

CA_FILE = "ca.pem"
_CA_KEY_FILE = "ca.key"
_CERTIFICATE_FILE = "server.pem"
_KEY_FILE = "server.key"

_CA_LIFETIME = timedelta(days=3650)
_LIFETIME = timedelta(days=397)
_RENEW_BEFORE = timedelta(days=30)
_CLOCK_SKEW = timedelta(hours=1)


def server_context(config: HubConfig, now: datetime) -> tuple[ssl.SSLContext, Path]:
    """The TLS context of the listener (TLS 1.2 or later) and the file that gateways verify it with."""
    if (config.certificate_file is None) != (config.key_file is None):
        raise HubStartError("HUB_TLS_INCOMPLETE", "Give both certificate_file and key_file, or neither.")
    if config.certificate_file is not None and config.key_file is not None:
        certificate, key, trust = config.certificate_file, config.key_file, config.certificate_file
    else:
        certificate, key, trust = ensure_certificates(config.data_dir, certificate_names(config), now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise HubStartError(
            "HUB_TLS_UNUSABLE",
            f"The certificate {certificate} with the key {key} cannot be loaded: {error}. "
            "Both must be PEM files that belong together.",
        ) from error
    return context, trust


def certificate_names(config: HubConfig) -> tuple[str, ...]:
    """Every name and address under which gateways may reach the hub."""
    names = ["localhost", "127.0.0.1", "::1", socket.gethostname().lower(), *config.names]
    if config.host not in {"0.0.0.0", "::", ""}:
        names.append(config.host)
    return tuple(dict.fromkeys(name for name in names if name))


def ensure_certificates(directory: Path, names: tuple[str, ...], now: datetime) -> tuple[Path, Path, Path]:
    """(server certificate, its key, authority) in `directory`, made or renewed as needed."""
    ca_path, ca_key_path = directory / CA_FILE, directory / _CA_KEY_FILE
    certificate_path, key_path = directory / _CERTIFICATE_FILE, directory / _KEY_FILE
    try:
        if not (ca_path.exists() and ca_key_path.exists()):
            _make_authority(ca_path, ca_key_path, now)
        authority = x509.load_pem_x509_certificate(ca_path.read_bytes())
        if not (key_path.exists() and _still_good(certificate_path, authority, names, now)):
            _make_certificate(certificate_path, key_path, authority, ca_key_path, names=names, now=now)
    except (OSError, ValueError, TypeError) as error:
        raise HubStartError(
            "HUB_TLS_UNUSABLE",
            f"The hub's certificates in {directory} cannot be read or made: {error}. "
            f"Remove {CA_FILE} and {_CA_KEY_FILE} to make new ones; gateways then need the new {CA_FILE}.",
        ) from error
    return certificate_path, key_path, ca_path


def _still_good(path: Path, authority: x509.Certificate, names: tuple[str, ...], now: datetime) -> bool:
    if not path.exists():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    present = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(present) >= set(_alternative_names(names)) and certificate.not_valid_after_utc - now > _RENEW_BEFORE


def _make_authority(path: Path, key_path: Path, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gatewright hub authority")])
    certificate = (
        _builder(name, name, key.public_key(), now, _CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    write_private(key_path, _pem(key))
    _write_public(path, certificate)


def _make_certificate(
    path: Path,
    key_path: Path,
    authority: x509.Certificate,
    ca_key_path: Path,
    *,
    names: tuple[str, ...],
    now: datetime,
) -> None:
    ca_key = serialization.load_pem_private_key(ca_key_path.read_bytes(), None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{ca_key_path.name} is no EC key")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gatewright hub")])
    certificate = (
        _builder(subject, authority.subject, key.public_key(), now, _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_alternative_names(names)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    write_private(key_path, _pem(key))
    _write_public(path, certificate)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - _CLOCK_SKEW)
        .not_valid_after(now.astimezone(UTC) + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_names(names: tuple[str, ...]) -> list[x509.GeneralName]:
    result: list[x509.GeneralName] = []
    for name in names:
        try:
            result.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            result.append(x509.DNSName(name))
    return result


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_public(path: Path, certificate: x509.Certificate) -> None:
    write_private(path, certificate.public_bytes(serialization.Encoding.PEM))
    path.chmod(0o644)
