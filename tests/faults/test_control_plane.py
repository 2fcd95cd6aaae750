"""A control plane that is wrong, hostile, silent or not who it says: the link tells, the gateway serves on."""

import io
import json
import zipfile
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest
from controlplane_hostile import ACK, BINARY, TEXT, Hostile, Peer, greet, honest
from envoy_harness import Backend
from gateway_processes import Gateway, rest_api, until

from gatewright.wire.archives import write_definition
from support.loop_thread import LoopThread

BASE = "/api/internal/v1"
TOKEN = "canary-token-8d1f5c0b7a9e4236"


class ControlPlane:
    """A hostile control plane in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._thread = LoopThread()
        self.server = Hostile(folder)
        honest(self.server)
        self._do(self.server.start())
        self.peers: list[Peer] = []

    def restore(self) -> None:
        """Honest again."""
        self.server.upgrade = None
        self.server.on_peer = greet

    def peer(self) -> Peer:
        """The socket of the gateway's next connection, or the present one."""
        if self.server.peers.qsize() or not self.peers:
            self.peers.append(self._do(self.server.peer()))
        return self.peers[-1]

    def cut(self) -> None:
        """End the present connection."""
        self._thread.loop.call_soon_threadsafe(self.peer().abort)
        self.peers.clear()

    def event(self, kind: str, payload: object) -> None:
        self._thread.loop.call_soon_threadsafe(self.peer().event, kind, payload)

    def acknowledged(self) -> dict[str, Any]:
        """The next acknowledgement."""
        message: dict[str, Any] = self._do(self.peer().message())
        return dict(message["payload"])

    def close(self) -> None:
        self._do(self.server.stop())
        self._thread.close()

    def _do(self, work: Awaitable[Any]) -> Any:
        return self._thread.do(_awaited(work))


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    running = ControlPlane(tmp_path_factory.mktemp("hostile"))
    yield running
    running.close()


def over(control_plane: ControlPlane, **own: str) -> dict[str, Any]:
    return {
        "controller": {
            "controlplane": {
                "host": control_plane.server.host,
                "token": TOKEN,
                "reconnect_initial": "50ms",
                "reconnect_max": "300ms",
            }
        },
        "gatewright": {"controlplane": own},
    }


@pytest.fixture(scope="module")
def linked(
    control_plane: ControlPlane, backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway that belongs to the control plane, with a healthy API of its own."""
    ca_file = str(control_plane.server.ca_file)
    with Gateway(tmp_path_factory.mktemp("linked"), over(control_plane, ca_file=ca_file)) as gateway:
        gateway.wait_for_link()
        gateway.deploy(rest_api("healthy", backend.port))
        yield gateway


@pytest.fixture(autouse=True)
def undisturbed(linked: Gateway, control_plane: ControlPlane) -> Iterator[None]:
    """Healthy traffic never notices, and the link heals when the control plane does."""
    control_plane.restore()
    linked.wait_for_link()
    until(lambda: linked.link["lastReconcile"]["trigger"], "a reconcile")
    with linked.undisturbed("/healthy/items"):
        yield
        control_plane.restore()
        linked.wait_for_link()


def archive(**entries: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, content in entries.items():
            writer.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return buffer.getvalue()


def bomb() -> bytes:
    """200 MiB of blanks in 200 KiB."""
    return archive(**{"api-x_dot_yaml": b" " * (200 << 20)})


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("path-trick", archive(**{"..__..__..__evil_dot_yaml": b"kind: RestApi", "api_dot_yaml": b"kind: RestApi"})),
        ("absolute", archive(__evil_dot_yaml=b"kind: RestApi")),
        ("bomb", bomb()),
        ("no-zip", b"PK\x03\x04 this is none"),
        ("nothing", b""),
        ("yaml-bomb", write_definition("api.yaml", b"a: &a [x,x]\nb: &b [*a,*a]\n" + b"c: [*b,*b]\n" * 100_000)),
        ("wrong-kind", write_definition("api.yaml", b"kind: Pod\n")),
    ],
)
def test_definitions_with_tricks(linked: Gateway, control_plane: ControlPlane, name: str, body: bytes) -> None:
    """Refused and told to the control plane; nothing written, no memory filled."""
    before = _resident(linked)
    control_plane.server.answers["GET", f"{BASE}/apis/{name}"] = (200, body)
    told = {"apiId": name, "deploymentId": f"d-{name}", "performedAt": "2026-08-01T10:15:30Z"}
    control_plane.event("api.deployed", told)
    ack = control_plane.acknowledged()
    assert (ack["artifactId"], ack["status"], ack["errorCode"]) == (name, "failed", "GATEWAY_PROCESSING_ERROR")
    assert linked.artifact(name) == {}
    assert not list(linked.folder.parent.rglob("evil.yaml"))
    assert _resident(linked) - before < 150 << 20
    assert any(entry.get("outcome") in {"refused", "failed"} for entry in linked.link["events"])


def test_a_good_deployment_after_all_that(linked: Gateway, control_plane: ControlPlane, backend: Backend) -> None:
    document = json.dumps(rest_api("honest", backend.port)).encode()
    control_plane.server.answers["GET", f"{BASE}/apis/honest"] = (200, write_definition("api.yaml", document))
    told = {"apiId": "honest", "deploymentId": "d-honest", "performedAt": "2026-08-01T10:15:30Z"}
    control_plane.event("api.deployed", told)
    assert control_plane.acknowledged()["status"] == "success"
    assert linked.get("/honest/items").status == 200


def test_a_token_that_is_not_known(linked: Gateway, control_plane: ControlPlane, backend: Backend) -> None:
    control_plane.server.upgrade = (401, b'{"error":"unknown token"}')
    control_plane.cut()
    link = linked.wait_for_link("refused")
    assert link["lastError"]["code"] == "LINK_REFUSED"
    assert "token" in link["lastError"]["advice"]
    assert linked.process.status is None
    linked.deploy(rest_api("meanwhile", backend.port))
    assert linked.get("/meanwhile/items").status == 200
    linked.remove("meanwhile")


@pytest.mark.parametrize("answer", [(200, b"<html>hello</html>"), (500, b"\x00" * 4096), (302, b"")])
def test_an_upgrade_that_is_answered_with_something_else(
    linked: Gateway, control_plane: ControlPlane, answer: tuple[int, bytes]
) -> None:
    control_plane.server.upgrade = answer
    control_plane.cut()
    error = until(
        lambda: (error := linked.link["lastError"]) and f"HTTP {answer[0]}" in error["message"] and error,
        "the link tells what it was answered",
    )
    assert error["advice"]


def test_garbage_on_an_open_socket(linked: Gateway, control_plane: ControlPlane) -> None:
    async def babble(peer: Peer) -> None:
        peer.frame(TEXT, ACK)
        for frame in (b"no json", b"[]", b"{}", b'{"type":1}', b'{"type":"api.deployed"}', b"{" * 2000):
            peer.frame(TEXT, frame)
        peer.frame(TEXT, json.dumps({"type": "api.deployed", "payload": {"apiId": "../../etc/passwd"}}))
        peer.frame(TEXT, json.dumps({"type": "apikey.created", "payload": {"apiId": "x" * 10_000, "apiKey": 7}}))
        peer.frame(BINARY, bytes(2000))

    control_plane.server.on_peer = babble
    control_plane.cut()
    linked.wait_for_link()
    control_plane.event("api.undeployed", {"apiId": "nobody", "deploymentId": "d", "performedAt": "yesterday"})
    until(lambda: len(linked.link["events"]) > 2, "events are noted")
    assert "Traceback" not in linked.process.log


def test_a_frame_without_end(linked: Gateway, control_plane: ControlPlane) -> None:
    """Sixteen times what a control plane may send: the connection is ended, not the process."""

    async def flood(peer: Peer) -> None:
        peer.frame(TEXT, ACK)
        peer.frame(TEXT, b" " * (64 << 20))

    before = _resident(linked)
    control_plane.server.on_peer = flood
    control_plane.cut()
    until(lambda: linked.link["reconnects"] > 1 and linked.link.get("lastError"), "the connection is ended")
    assert _resident(linked) - before < 150 << 20


def test_a_control_plane_that_says_nothing(linked: Gateway, control_plane: ControlPlane, backend: Backend) -> None:
    """It takes the connection and is silent from then on: waited for within bounds, while the gateway serves."""

    async def silent(_peer: Peer) -> None:
        pass

    control_plane.server.on_peer = silent
    control_plane.cut()
    until(lambda: linked.link["state"] != "connected", "the connection is lost")
    linked.deploy(rest_api("in-silence", backend.port))
    assert linked.get("/in-silence/items").status == 200
    error = until(
        lambda: (error := linked.link["lastError"]) and error["code"] == "LINK_NO_ACK" and error, "it gives up waiting"
    )
    assert "5 s" in error["message"]
    linked.remove("in-silence")


def test_a_certificate_that_cannot_be_verified(tmp_path: Path) -> None:
    """Nothing is said to it, least of all the token."""
    stranger = ControlPlane(tmp_path / "stranger")
    try:
        with Gateway(tmp_path / "gateway", over(stranger)) as gateway:
            link = until(lambda: (link := gateway.link).get("lastError") and link, "the certificate is looked at")
            assert link["lastError"]["code"] == "LINK_UNTRUSTED"
            assert "ca_file" in link["lastError"]["advice"]
            assert gateway.get("/_gateway-health/ready").status == 200
        assert stranger.server.requests == stranger.server.upgrades == []
    finally:
        stranger.close()


def _resident(gateway: Gateway) -> int:
    for line in Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
