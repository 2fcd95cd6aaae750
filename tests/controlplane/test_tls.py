"""TLS towards the control plane over real sockets: certificates of the gateway, and the oldest version it speaks."""

import asyncio
import contextlib
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from controlplane_lab import make_settings, until
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Signs client certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("clients")
        self.certificate = folder / "clients.pem"
        made = _builder(self._name, self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.certificate.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, who: str) -> tuple[Path, Path]:
        """Certificate and key of a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _builder(_name(who), self._name, key.public_key()).sign(self._key, hashes.SHA256())
        certificate, file = self.folder / f"{who}.pem", self.folder / f"{who}.key"
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, file


def _name(who: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def strict(hostile, authority):
    """The control plane wants a certificate of `authority`, and notes whose it was shown."""
    hostile._context.verify_mode = ssl.CERT_REQUIRED
    hostile._context.load_verify_locations(authority.certificate)
    shown: list[str] = []

    async def note(peer):
        (name,) = (pair[0][1] for pair in peer.writer.get_extra_info("peercert")["subject"])
        shown.append(name)
        await greet(peer)

    greet = hostile.on_peer
    hostile.on_peer = note
    return shown


async def test_the_gateway_shows_its_certificate_to_socket_and_rest(site, hostile_settings, authority, strict):
    certificate, key = authority.issue("gateway-7")
    own = {"client_certificate_file": str(certificate), "client_key_file": str(key)}
    async with site.linked(hostile_settings(own=own)) as plane:
        await until(lambda: plane.status().last_reconcile)
        assert plane.status().last_reconcile.errors == ()
        assert strict == ["gateway-7"]


@pytest.fixture
def blunt(hostile, strict):
    """The same, with a server that says in its alert why it hangs up, as OpenSSL's does; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                hostile._context.wrap_socket(connection, server_side=True).close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


@pytest.mark.parametrize("shows", ["none", "one of somebody else"])
async def test_a_certificate_that_is_missing_or_wrong_is_told_as_such(site, hostile, blunt, shows, tmp_path):
    own = {}
    if shows != "none":
        (tmp_path / "others").mkdir()
        certificate, key = Authority(tmp_path / "others").issue("stranger")
        own = {"client_certificate_file": str(certificate), "client_key_file": str(key)}
    settings = make_settings(f"127.0.0.1:{blunt}", "a-token-of-the-test", ca_file=hostile.ca_file, own=own)
    async with site.linked(settings) as plane:
        # The alert may be lost when the server hangs up at once; there are further attempts.
        await until(lambda: getattr(plane.status().last_error, "code", "") == "LINK_TLS_FAILED")
        error = plane.status().last_error
        assert "certificate of this gateway" in error.message
        assert "client_certificate_file" in error.advice


async def test_a_certificate_that_is_renewed_is_shown_at_the_next_connect(
    site, hostile, hostile_settings, authority, strict
):
    certificate, key = authority.issue("before")
    own = {"client_certificate_file": str(certificate), "client_key_file": str(key)}
    async with site.linked(hostile_settings(own=own)) as plane:
        peer = await hostile.peer()
        renewed, renewed_key = authority.issue("after")
        renewed_key.replace(key)
        renewed.replace(certificate)
        peer.abort()
        await hostile.peer()
        await until(lambda: plane.status().state == "connected")
        assert strict == ["before", "after"]


@pytest.mark.parametrize(("spoken", "connects"), [("TLSv1_2", True), ("TLSv1_3", True), ("TLSv1_1", False)])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_tls_1_2_is_the_oldest_version(site, hostile, hostile_settings, spoken, connects):
    version = ssl.TLSVersion[spoken]
    hostile._context.minimum_version = version
    hostile._context.maximum_version = version
    # Else the library itself would not speak the old version, whatever the gateway asks for.
    hostile._context.set_ciphers("DEFAULT:@SECLEVEL=0")
    async with site.linked(hostile_settings()) as plane:
        if connects:
            await until(lambda: plane.status().state == "connected")
            return
        await until(lambda: plane.status().last_error)
        await asyncio.sleep(0.1)
        error = plane.status().last_error
        assert error.code == "LINK_TLS_FAILED"
        assert "TLS 1.2" in error.advice
        assert hostile.upgrades == []
