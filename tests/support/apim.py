"""A stand-in API Manager for tests: on a free port, with TLS, on a data directory of its own.

Import it anywhere below `tests/` as `from support.apim import running`, and use it like this:

    async with running(tmp_path / "apim", switches={"import_mode": "503:2"}) as apim:
        gateway = await apim.client.register_gateway("prod-gateway")   # {"id", "registrationToken", …}
        oauth = await apim.client.register_client("gateway-controller")  # {"clientId", "clientSecret", …}
        ... start a gateway with host=apim.host, token=gateway["registrationToken"], ca_file=apim.ca_file,
            apim_oauth2_client_id=oauth["clientId"], apim_oauth2_client_secret=oauth["clientSecret"],
            gateway_name="prod-gateway"
        imports = apim.requests("/apis/import")            # method, path, query, headers, body, status
        archive = apim.upload(imports[0])                  # the ZIP as it came
        api = (await apim.client.apis("name:Orders"))[0]   # what a Publisher user sees
        await apim.client.publish_change(api["id"], ["prod-gateway"], description="edited there")
        apim.switches.turn({"undeploy_mode": "500"})       # the process is this one: no HTTP needed

Without a gateway of ours: `connected` plays the WebSocket side by hand, `publisher` and `upload` the Publisher calls
(with `support.projects` for archives), `anonymous` is a bare HTTP client that trusts the stand-in.

`running` again on the same directory (with `port=apim.port`) is a restart without loss. `apim.client` does everything
that administrators, Publisher and DevPortal users do (gatewright.hub.apim.client). For a gateway in another process use
`apim.host` and `apim.ca_file`; for a stand-in in another process `gatewright hub start --as api-manager`.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import websockets

from gatewright.hub.apim.client import ApiManagerClient
from gatewright.hub.apim.config import ApiManagerConfig
from gatewright.hub.apim.recorder import Recorded, Recorder
from gatewright.hub.apim.server import ApiManager
from gatewright.hub.apim.switches import SwitchBoard
from gatewright.hub.config import Clock, system_clock

PATIENCE = 60.0
"""Seconds until a test gives up waiting for something that should come at once."""


class Apim:
    """A running stand-in and its client."""

    def __init__(self, manager: ApiManager, client: ApiManagerClient) -> None:
        self.manager = manager
        self.client = client

    @property
    def port(self) -> int:
        return self.manager.port

    @property
    def host(self) -> str:
        """As `controlplane.host` takes it."""
        return f"127.0.0.1:{self.manager.port}"

    @property
    def url(self) -> str:
        return f"https://{self.host}"

    @property
    def ca_file(self) -> Path:
        return self.manager.ca_file

    @property
    def switches(self) -> SwitchBoard:
        return self.manager.switches

    @property
    def recorder(self) -> Recorder:
        return self.manager.recorder

    def requests(self, path: str = "", method: str = "") -> list[Recorded]:
        """Recorded requests whose path holds `path`, oldest first; never those of `client`."""
        return self.manager.recorder.entries(path=path, method=method)

    def upload(self, request: Recorded) -> bytes:
        """The archive of an import."""
        content = self.manager.recorder.upload(request.seq)
        assert content is not None, "that request brought no archive"
        return content


@asynccontextmanager
async def running(data_dir: Path, *, clock: Clock = system_clock, **settings: Any) -> AsyncIterator[Apim]:
    """A stand-in for as long as the block runs; settings as ApiManagerConfig has them."""
    manager = ApiManager(ApiManagerConfig(**{"data_dir": data_dir, "port": 0, **settings}), clock=clock)
    await manager.start()
    try:
        async with ApiManagerClient.from_data_dir(data_dir, f"https://127.0.0.1:{manager.port}") as client:
            yield Apim(manager, client)
    finally:
        await manager.stop()


async def until(holds: Callable[[], object]) -> None:
    """Wait until something that happens elsewhere is visible."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - what is waited for shows in answers only
            await asyncio.sleep(0.01)


class Gateway:
    """A gateway played by a plain WebSocket client."""

    def __init__(self, socket: websockets.ClientConnection, ack: dict[str, Any]) -> None:
        self.socket = socket
        self.ack = ack

    async def message(self) -> dict[str, Any]:
        """The next event."""
        async with asyncio.timeout(PATIENCE):
            message: dict[str, Any] = json.loads(await self.socket.recv())
        return message

    async def closed(self) -> tuple[int, str]:
        """Code and reason with which the server ends the connection."""
        async with asyncio.timeout(PATIENCE):
            await self.socket.wait_closed()
        return self.socket.close_code or 0, self.socket.close_reason or ""

    async def acknowledge(self, event: dict[str, Any], status: str = "success", **changed: object) -> None:
        """Acknowledge a deployment event."""
        payload = event["payload"]
        ack = {
            "deploymentId": payload["deploymentId"], "artifactId": payload["apiId"], "resourceType": "api",
            "action": "deploy" if event["type"] == "api.deployed" else "undeploy", "status": status,
            "performedAt": payload["performedAt"], **changed,
        }  # fmt: skip
        await self.socket.send(json.dumps({"type": "deployment.ack", "payload": ack}))


@asynccontextmanager
async def connected(apim: Apim, token: str | None, *, greeted: bool = True) -> AsyncIterator[Gateway]:
    """A gateway that is connected, and greeted unless told otherwise."""
    async with websockets.connect(
        f"wss://{apim.host}/internal/data/v1/ws/gateways/connect",
        ssl=ssl.create_default_context(cafile=str(apim.ca_file)),
        additional_headers={} if token is None else {"api-key": token},
        compression=None,
        proxy=None,
    ) as socket:
        gateway = Gateway(socket, {})
        if greeted:
            gateway.ack = await gateway.message()
        yield gateway


@asynccontextmanager
async def publisher(
    apim: Apim, scope: str = "apim:api_import_export apim:api_view"
) -> AsyncIterator[httpx2.AsyncClient]:
    """What a gateway has of the Publisher: a plain HTTP client with a token. Recorded, and subject to the switches."""
    headers = {"authorization": f"Bearer {await apim.client.sign_in(scope)}", "accept": "application/json"}
    async with anonymous(apim) as http:
        http.headers.update(headers)
        yield http


def anonymous(apim: Apim) -> httpx2.AsyncClient:
    """A plain HTTP client that trusts the stand-in."""
    trust = ssl.create_default_context(cafile=str(apim.ca_file))
    return httpx2.AsyncClient(base_url=apim.url, verify=trust, trust_env=False, timeout=PATIENCE)


async def upload(http: httpx2.AsyncClient, archive: bytes, **changed: str) -> httpx2.Response:
    """Import an archive as a gateway does; query parameters may be changed, an empty one is left out."""
    query = {"preserveProvider": "false", "overwrite": "true", "dryRun": "false", "rotateRevision": "true", **changed}
    return await http.post(
        "/api/am/publisher/v4/apis/import",
        params={name: value for name, value in query.items() if value},
        files={"file": ("local-id.zip", archive, "application/octet-stream")},
    )
