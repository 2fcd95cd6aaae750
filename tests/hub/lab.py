"""What the tests of the hub work with: a running hub, and gateways played by a plain WebSocket client."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
import websockets

from gatewright.hub.client import HubClient
from gatewright.hub.server import Hub

DOCUMENT = """\
apiVersion: gateway.api-platform.wso2.com/v1
kind: RestApi
metadata:
  name: orders-v1.0
spec:
  displayName: Orders
  version: v1.0
  context: /orders/$version
  upstream: { main: { url: "https://orders.internal" } }
  operations:
    - { method: GET, path: /items }
"""

PATIENCE = 10.0
"""Seconds until a test gives up waiting for something that should come at once."""


class TurnableClock:
    """Wall-clock time that a test moves on by hand."""

    def __init__(self) -> None:
        self.now_ns = time.time_ns()

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


class Peer:
    """A gateway's side of the wire: one open socket and REST calls with the same token."""

    def __init__(self, socket: websockets.ClientConnection, rest: httpx2.AsyncClient, ack: dict[str, Any]) -> None:
        self.socket = socket
        self.rest = rest
        self.connection_ack = ack

    async def event(self) -> dict[str, Any]:
        """The next event."""
        async with asyncio.timeout(PATIENCE):
            message: dict[str, Any] = json.loads(await self.socket.recv())
        return message

    async def acknowledge(self, event: dict[str, Any], status: str = "success", **changed: object) -> None:
        """Acknowledge a deployment event."""
        payload = event["payload"]
        action = "deploy" if event["type"].endswith(".deployed") else "undeploy"
        ack = {
            "deploymentId": payload["deploymentId"], "artifactId": payload["apiId"], "resourceType": "api",
            "action": action, "status": status, "performedAt": payload["performedAt"], **changed,
        }  # fmt: skip
        await self.socket.send(json.dumps({"type": "deployment.ack", "payload": ack}))


class Lab:
    """A running hub, its client, and what is needed to play gateways."""

    def __init__(self, hub: Hub, clock: TurnableClock, client: HubClient) -> None:
        self.hub = hub
        self.clock = clock
        self.client = client
        self.trust = ssl.create_default_context(cafile=str(hub.ca_file))

    @property
    def base(self) -> str:
        return f"https://127.0.0.1:{self.hub.port}/api/internal/v1"

    @property
    def socket_url(self) -> str:
        return f"wss://127.0.0.1:{self.hub.port}/api/internal/v1/ws/gateways/connect"

    async def gateway(self, handle: str = "edge") -> str:
        """Register a gateway and answer its token."""
        await self.client.register(handle)
        return (await self.client.issue_token(handle)).token

    def rest(self, token: str) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=self.base, headers={"api-key": token} if token else {}, verify=self.trust, trust_env=False
        )

    @asynccontextmanager
    async def peer(self, token: str) -> AsyncIterator[Peer]:
        """A connected gateway whose connection has been acknowledged."""
        async with (
            websockets.connect(
                self.socket_url, ssl=self.trust, additional_headers={"api-key": token}, compression=None, proxy=None
            ) as socket,
            self.rest(token) as rest,
        ):
            async with asyncio.timeout(PATIENCE):
                ack = json.loads(await socket.recv())
            yield Peer(socket, rest, ack)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something that happens elsewhere is visible."""
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110 - what is waited for shows in answers only
            await asyncio.sleep(0.005)


LabMaker = Callable[..., AbstractAsyncContextManager[Lab]]
