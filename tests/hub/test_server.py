"""The hub as a whole: data directory, port, certificates, the administrator's token, failures of the disk."""

import asyncio
import contextlib
import socket
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
import websockets
from cryptography import x509
from hub_lab import DOCUMENT, Lab, LabMaker
from sqlalchemy.exc import OperationalError
from websockets.exceptions import InvalidStatus

from gatewright.hub.client import HubClient, HubClientError
from gatewright.hub.config import HubConfig
from gatewright.hub.problems import HubStartError
from gatewright.hub.server import Hub
from gatewright.hub.tls import ensure_certificates


async def test_a_second_hub_on_the_same_data_directory_is_refused(lab: Lab) -> None:
    second = Hub(HubConfig(data_dir=lab.hub.config.data_dir, port=0))
    with pytest.raises(HubStartError, match=r"Another hub .* uses the data directory") as refusal:
        await second.start()
    assert refusal.value.code == "HUB_DATA_DIR_IN_USE"
    assert (await lab.client.health()).status == "ok"


async def test_a_port_in_use_is_named_and_leaves_the_directory_free(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        hub = Hub(HubConfig(data_dir=tmp_path, port=port))
        with pytest.raises(HubStartError, match=f"127.0.0.1:{port}.*choose another port") as refusal:
            await hub.start()
        assert refusal.value.code == "HUB_PORT_UNAVAILABLE"
    again = Hub(HubConfig(data_dir=tmp_path, port=0))
    await again.start()
    await again.stop()


async def test_an_unusable_data_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HubStartError, match="cannot be used") as refusal:
        await Hub(HubConfig(data_dir=tmp_path / "file" / "hub", port=0)).start()
    assert refusal.value.code == "HUB_DATA_DIR_UNUSABLE"


async def test_the_admin_token_is_made_once_and_kept_private(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        token = lab.hub.admin_token_file.read_text(encoding="ascii").strip()
        assert token == lab.hub.first_admin_token
        assert stat.S_IMODE(lab.hub.admin_token_file.stat().st_mode) == 0o600
        assert token.encode() not in (lab.hub.config.data_dir / "hub.db").read_bytes()
        async with httpx2.AsyncClient(verify=lab.trust) as anybody:
            url = f"https://127.0.0.1:{lab.hub.port}/api/hub/v1"
            assert (await anybody.get(f"{url}/health")).status_code == 200
            for header in ("", "Bearer", "Bearer wrong", f"Basic {token}", token):
                answer = await anybody.get(f"{url}/gateways", headers={"authorization": header})
                assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")
    async with make_lab() as lab:
        assert lab.hub.first_admin_token is None
        assert await lab.client.gateways() == []


async def test_private_files_are_private(lab: Lab) -> None:
    for name in ("ca.key", "server.key", "hub.db", "admin-token", "hub.lock"):
        assert stat.S_IMODE((lab.hub.config.data_dir / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE(lab.hub.config.data_dir.stat().st_mode) == 0o700


async def test_the_certificate_is_verified_by_the_hub_s_authority_only(lab: Lab) -> None:
    for host in ("127.0.0.1", "localhost"):
        _, writer = await asyncio.open_connection(host, lab.hub.port, ssl=lab.trust, family=socket.AF_INET)
        assert writer.get_extra_info("ssl_object").version() in {"TLSv1.2", "TLSv1.3"}
        writer.close()
        await writer.wait_closed()
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", lab.hub.port, ssl=ssl.create_default_context())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_tls_below_1_2_is_refused(lab: Lab) -> None:
    old = ssl.create_default_context(cafile=str(lab.hub.ca_file))
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", lab.hub.port, ssl=old)


def test_certificates_are_kept_renewed_and_named_anew(tmp_path: Path) -> None:
    now = datetime.now(UTC)

    def serials(at: datetime, *names: str) -> tuple[int, int]:
        certificate, _, authority = ensure_certificates(tmp_path, names, at)
        read = [x509.load_pem_x509_certificate(path.read_bytes()) for path in (certificate, authority)]
        return read[0].serial_number, read[1].serial_number

    first = serials(now, "localhost", "127.0.0.1")
    assert serials(now + timedelta(days=300), "localhost", "127.0.0.1") == first
    renewed = serials(now + timedelta(days=380), "localhost", "127.0.0.1")
    assert renewed[0] != first[0]
    assert renewed[1] == first[1]
    named = serials(now + timedelta(days=381), "localhost", "127.0.0.1", "hub.example.com")
    assert named[0] != renewed[0]
    (tmp_path / "server.pem").write_text("broken")
    with pytest.raises(HubStartError, match="certificates"):
        serials(now, "localhost")


async def test_own_certificates_must_belong_together(tmp_path: Path) -> None:
    certificate, _, _ = ensure_certificates(tmp_path, ("localhost",), datetime.now(UTC))
    for key in (None, certificate, tmp_path / "missing.key"):
        config = HubConfig(data_dir=tmp_path / "hub", port=0, certificate_file=certificate, key_file=key)
        with pytest.raises(HubStartError) as refusal:
            await Hub(config).start()
        assert refusal.value.code in {"HUB_TLS_INCOMPLETE", "HUB_TLS_UNUSABLE"}
    config = HubConfig(
        data_dir=tmp_path / "hub", port=0, certificate_file=certificate, key_file=tmp_path / "server.key"
    )
    hub = Hub(config)
    await hub.start()
    await hub.stop()


async def test_a_disk_that_refuses_is_a_503_and_never_a_401(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 401 would end the process of an original gateway."""
    token = await lab.gateway()

    def full(*_arguments: object) -> None:
        raise OperationalError("statement", {}, Exception("database or disk is full"))

    with monkeypatch.context() as patch:
        patch.setattr("gatewright.hub.store.Store._read", full)
        patch.setattr("gatewright.hub.store.Store._write", full)
        with pytest.raises(InvalidStatus) as refused:
            await websockets.connect(lab.socket_url, ssl=lab.trust, additional_headers={"api-key": token}, proxy=None)
        assert refused.value.response.status_code == 503
        async with lab.rest(token) as rest:
            answer = await rest.get("/deployments")
        assert answer.status_code == 503
        assert answer.json()["description"] == "The hub cannot use its database now; nothing was changed."
        with pytest.raises(HubClientError) as error:
            await lab.client.deploy(DOCUMENT)
        assert (error.value.status, error.value.code) == (503, "STORAGE_UNAVAILABLE")
    await lab.client.deploy(DOCUMENT, ["edge"])


async def test_garbage_on_the_port_harms_nobody(lab: Lab) -> None:
    for garbage in (b"\x00\xff" * 1000, b"GET / HTTP/1.1\r\n\r\n", b""):
        _, plain = await asyncio.open_connection("127.0.0.1", lab.hub.port)
        plain.write(garbage)
        await plain.drain()
        plain.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", lab.hub.port, ssl=lab.trust)
    writer.write(b"NONSENSE\r\n\r\n")
    assert b"400" in await reader.readline()
    writer.close()
    assert (await lab.client.health()).status == "ok"


async def test_a_client_that_dribbles_its_head_is_dropped(make_lab: LabMaker) -> None:
    async with make_lab(head_timeout=0.2) as lab:
        for sent in (b"", b"GET /api/hub/v1/health HTTP/1.1\r\nHost: h\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", lab.hub.port, ssl=lab.trust)
            writer.write(sent)
            async with asyncio.timeout(10):
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
            writer.close()
        async with lab.peer(await lab.gateway()) as peer:
            await asyncio.sleep(0.4)
            await lab.client.deploy(DOCUMENT, ["edge"])
            assert (await peer.event())["type"] == "api.deployed"
            assert (await peer.rest.get("/deployments")).status_code == 200


async def test_stopping_does_not_wait_for_idle_connections(make_lab: LabMaker) -> None:
    async with make_lab() as lab:
        await lab.client.health()
        async with asyncio.timeout(3):
            await lab.hub.stop()


async def test_a_client_says_what_keeps_it_from_the_hub(tmp_path: Path, make_lab: LabMaker) -> None:
    with pytest.raises(HubClientError, match="Has a hub been started there"):
        HubClient.from_data_dir(tmp_path / "nothing")
    async with make_lab() as lab:
        port = lab.hub.port
        async with HubClient.from_data_dir(lab.hub.config.data_dir, port=port) as client:
            await lab.hub.stop()
            with pytest.raises(HubClientError, match="Is it running") as gone:
                await client.health()
            assert (gone.value.status, gone.value.code) == (0, "HUB_UNREACHABLE")
