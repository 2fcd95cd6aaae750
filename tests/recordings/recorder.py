"""A proxy between a gateway and a control plane that writes down what passes."""

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import httpx2
import websockets
from controlplane_hostile import CLOSE, TEXT, Hostile, Peer, Request
from controlplane_lab import until
from recorded_conversation import shown, without_what_grows
from recorded_credentials import Credentials, presented

_HOP = {"host", "content-length", "connection", "accept-encoding"}


class Recorder(Hostile):
    """Everything that comes goes on to `target` (host:port)."""

    def __init__(self, directory: Path, target: str, ca_file: Path) -> None:
        super().__init__(directory)
        self.steps: list[dict[str, Any]] = []
        self.credentials = Credentials()
        self._target = target
        self._trust = ssl.create_default_context(cafile=str(ca_file))
        self._http = httpx2.AsyncClient(base_url=f"https://{target}", verify=self._trust, trust_env=False)
        self._last = 0.0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._sockets: dict[Peer, websockets.ClientConnection] = {}
        self.on_peer = self._pump

    def step(self, name: str, **what: Any) -> None:
        """What passes from now on belongs to this step."""
        self.steps.append({"step": name, **what, "conversation": []})

    async def quiet(self, seconds: float) -> None:
        """Until nothing has passed for so long."""
        loop = asyncio.get_running_loop()
        await until(lambda: loop.time() - self._last > seconds)

    def hold(self) -> None:
        """Keep events back until `release`: they belong to a later step."""
        self._flowing.clear()

    def release(self) -> None:
        """Let events pass."""
        self._flowing.set()

    def drop(self) -> None:
        """Cut the connections, as a network does."""
        for peer, connection in self._sockets.items():
            peer.abort()
            connection.transport.abort()
        self._sockets.clear()

    async def stop(self) -> None:
        for task in self._pumps:
            task.cancel()
        await super().stop()
        await self._http.aclose()

    def find(self, request: Request) -> Any:
        return self._passed_on(request)

    async def _passed_on(self, request: Request) -> tuple[int, bytes, dict[str, str]]:
        headers = {name: value for name, value in request.headers.items() if name not in _HOP}
        # The place is where the call came, the answer may come after others.
        entry = self._add({"call": f"{request.method} {request.path}"})
        answer = await self._http.request(request.method, request.path, headers=headers, content=request.body)
        content_type = request.headers.get("content-type", "")
        body = without_what_grows(request.path, shown(request.body, content_type))
        if "accept" in headers and headers["accept"] != "*/*":
            entry["accept"] = headers["accept"]
        if body:
            entry["body"] = body
        entry |= presented(headers)
        kind = answer.headers.get("content-type", "")
        told = shown(answer.content, kind)
        self.credentials.find(told.get("json"))
        entry["answer"] = {"status": answer.status_code, **told}
        self._last = asyncio.get_running_loop().time()
        return answer.status_code, answer.content, {"content-type": kind} if kind else {}

    async def _pump(self, peer: Peer) -> None:
        connection = await websockets.connect(
            f"wss://{self._target}{peer.request.path}",
            ssl=self._trust,
            additional_headers={"api-key": peer.request.headers["api-key"]},
            compression=None,
            proxy=None,
        )
        self._sockets[peer] = connection
        self._add({"connect": peer.request.path, **presented(peer.request.headers)})
        for work in (self._down(connection, peer), self._up(connection, peer), peer.stay()):
            task = asyncio.create_task(work)
            self._pumps.add(task)

    async def _down(self, connection: websockets.ClientConnection, peer: Peer) -> None:
        async for message in connection:
            await self._flowing.wait()
            self._add({"event": json.loads(message)})
            peer.frame(TEXT, message)

    async def _up(self, connection: websockets.ClientConnection, peer: Peer) -> None:
        while True:
            opcode, data = await peer.frames.get()
            if opcode == TEXT:
                self._add({"frame": json.loads(data)})
                await connection.send(data.decode())
            elif opcode == CLOSE:
                await connection.close()
                return

    def _add(self, entry: dict[str, Any]) -> dict[str, Any]:
        self._last = asyncio.get_running_loop().time()
        self.steps[-1]["conversation"].append(entry)
        return entry
