"""A self-signed certificate for the HTTPS listener where the user has none yet. Kept between runs."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID = timedelta(days=825)
RENEW_BEFORE = timedelta(days=30)
CERTIFICATE_FILE = "self-signed.crt"
KEY_FILE = "self-signed.key"


def self_signed(directory: Path, now: datetime) -> tuple[str, str]:
    """Certificate and key in PEM, from `directory` or made anew. Raises OSError."""
    certificate_file, key_file = directory / CERTIFICATE_FILE, directory / KEY_FILE
    if certificate_file.exists() and key_file.exists():
        certificate = certificate_file.read_text(encoding="ascii")
        loaded = x509.load_pem_x509_certificate(certificate.encode())
        if loaded.not_valid_after_utc - now > RENEW_BEFORE:
            return certificate, key_file.read_text(encoding="ascii")
    certificate, key = _make(now)
    place(certificate_file, key_file, certificate, key)
    return certificate, key


def place(certificate_file: Path, key_file: Path, certificate: str, key: str) -> None:
    """Keep both; the key is readable for its owner only. Raises OSError."""
    key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key_file.touch(mode=0o600)
    key_file.write_text(key, encoding="ascii")
    certificate_file.write_text(certificate, encoding="ascii")


def _make(now: datetime) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gatewright")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - timedelta(minutes=5))
        .not_valid_after(now.astimezone(UTC) + VALID)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")
    return pem, secret
