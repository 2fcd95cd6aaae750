"""Between controllers and routers: TLS in both directions, renewed files, and one of several controllers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from xds_client import cluster, listener, scope

from gatewright.xds.controller_link import ControllerLink
from gatewright.xds.delivery import Delivery
from gatewright.xds.disk import LastGood
from gatewright.xds.outcomes import Node
from gatewright.xds.relay import Relay
from gatewright.xds.server import AdsServer
from gatewright.xds.snapshot import Snapshot
from gatewright.xds.tls import ClientTls, ServerTls, TlsUnusable, server_credentials

HOST = "127.0.0.1"


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self.certificate = folder / f"{name}.crt"
        self.certificate.write_bytes(self._issue(self._name, self._key, ca=True))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Certificate and key, over what is there."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate_file, key_file = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        certificate_file.write_bytes(self._issue(_name(name), key))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate_file, key_file

    def _issue(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool = False) -> bytes:
        now = datetime.now(UTC)
        names = x509.SubjectAlternativeName([x509.DNSName("controller"), x509.IPAddress(ip_address(HOST))])
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Controller:
    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.snapshot.apply([cluster("c"), scope("s", ["c"]), listener("l")])
        self.delivery = Delivery(self.snapshot)
        self.server = AdsServer(self.snapshot, self.delivery)


@pytest.fixture
async def controllers() -> AsyncIterator[list[Controller]]:
    made = [Controller(), Controller()]
    yield made
    for controller in made:
        await controller.server.stop()


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "theirs")


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Relay]:
    made = Relay(LastGood(tmp_path / "snapshot", interval_s=0.0))
    await made.start(tmp_path / "xds.sock")
    yield made
    await made.stop()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def start(controller: Controller, files: ServerTls) -> str:
    port = await controller.server.start(f"{HOST}:0", credentials=server_credentials(files))
    return f"{HOST}:{port}"


def linked(relay: Relay, targets: list[str], tls: ClientTls | None) -> ControllerLink:
    link = ControllerLink(targets, tls=tls, longest_delay_s=0.2)
    link.start(relay, Node(id="router-1"))
    return link


async def test_a_router_with_a_certificate_is_served_and_others_are_not(
    controllers: list[Controller], ours: Authority, theirs: Authority, relay: Relay, tmp_path: Path
) -> None:
    at = await start(controllers[0], ServerTls(*ours.issue("controller"), ours.certificate))
    strangers = (
        None,
        ClientTls(*theirs.issue("stranger"), ours.certificate),
        ClientTls(*ours.issue("router"), theirs.certificate),
        ClientTls(*ours.issue("router"), ours.certificate, "another-name"),
        ClientTls(tmp_path / "missing", tmp_path / "missing", ours.certificate),
    )
    for stranger in strangers:
        refused = linked(relay, [at], stranger)
        await until(lambda link=refused: link.last_error is not None)
        assert not refused.connected
        await refused.stop()
    assert controllers[0].delivery.routers() == []
    assert not relay.snapshot.loaded

    for name in ("", "controller"):
        link = linked(relay, [at], ClientTls(*ours.issue("router"), ours.certificate, name))
        await until(lambda link=link: link.connected)
        await link.stop()
    assert relay.snapshot.loaded


async def test_renewed_files_are_taken_up_by_both(
    controllers: list[Controller], ours: Authority, theirs: Authority, relay: Relay, tmp_path: Path
) -> None:
    authorities = tmp_path / "authorities.pem"
    authorities.write_bytes(ours.certificate.read_bytes())
    files = ServerTls(*ours.issue("controller"), authorities)
    at = await start(controllers[0], files)
    link = linked(relay, [at], ClientTls(*ours.issue("router"), authorities))
    await until(lambda: link.connected)

    authorities.write_bytes(theirs.certificate.read_bytes())
    theirs.issue("controller")
    theirs.issue("router")
    await link.stop()
    link = linked(relay, [at], ClientTls(tmp_path / "router.crt", tmp_path / "router.key", authorities))
    await until(lambda: link.connected)

    files.key.write_text("half a fi")
    await link.stop()
    link = linked(relay, [at], ClientTls(tmp_path / "router.crt", tmp_path / "router.key", authorities))
    await until(lambda: link.connected)
    await link.stop()


async def test_what_is_no_pem_is_named(ours: Authority, tmp_path: Path) -> None:
    certificate, key = ours.issue("controller")
    for bad in (ServerTls(certificate, tmp_path / "missing"), ServerTls(certificate, key, tmp_path / "empty")):
        (tmp_path / "empty").write_text("")
        with pytest.raises(TlsUnusable, match=r"missing|empty"):
            server_credentials(bad)


async def test_a_router_goes_to_another_controller_when_its_own_is_lost(
    controllers: list[Controller], relay: Relay
) -> None:
    targets = [f"{HOST}:{await controller.server.start(f'{HOST}:0')}" for controller in controllers]
    link = linked(relay, targets, None)
    for _ in range(2):
        await until(lambda: link.connected)
        used = targets.index(link.target)
        port = controllers[used].server.port
        received = link.received
        await controllers[used].server.stop()
        await until(lambda used=used: controllers[1 - used].delivery.routers())
        await until(lambda: link.connected)
        # Both serve the same: nothing had to be sent again.
        assert link.received == received
        await asyncio.sleep(0)
        await controllers[used].server.start(f"{HOST}:{port}")
    await link.stop()
