"""A gateway that is far from its hub: every request takes a round trip longer."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from bench.caller import NotAnswered
from bench.gateway import Gateway
from bench.site import Site
from gatewright.demo.children import Child

ROUND_TRIP_MS = 50.0
_PATIENCE_S = 60.0
_LOOK_S = 0.1


class Edge:
    """Such a gateway, and the way to its hub, which can be closed for a while."""

    def __init__(self, gateway: Gateway, way: Child) -> None:
        self.gateway = gateway
        self._way = way

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Nothing arrives at either end; what has gathered in the block arrives at once afterwards."""
        os.kill(self._way.pid, signal.SIGUSR1)
        try:
            yield
        finally:
            os.kill(self._way.pid, signal.SIGUSR1)


@asynccontextmanager
async def edge(site: Site, name: str) -> AsyncIterator[Edge]:
    """An empty one, connected and serving; it is ended with the block."""
    way, port = await site.start_delay(name, ROUND_TRIP_MS)
    gateway = Gateway(name, site.folder, site.children, await site.register(name, port=port))
    gateway.start()
    try:
        await gateway.serving()
        await linked(gateway)
        yield Edge(gateway, way)
    finally:
        await gateway.stop()
        await site.children.stop(way)


async def linked(gateway: Gateway, *, routers: int = 1, idle: bool = False) -> dict[str, Any]:
    """Wait until the link is up and so many routers have an Envoy; with `idle` also until nothing waits.

    What the gateway says of its link. Raises NotAnswered.
    """
    deadline = asyncio.get_running_loop().time() + _PATIENCE_S
    async with gateway.administration() as admin:
        while True:
            status = await admin.status()
            link: dict[str, Any] = status["controlPlane"]
            connected = sum(bool(router["envoyConnected"]) for router in status["routers"])
            waiting = (link["waiting"] + link["acksOwed"]) if idle else 0
            if link["state"] == "connected" and connected >= routers and not waiting:
                return link
            if asyncio.get_running_loop().time() > deadline:
                raise NotAnswered(f"{gateway.name}: {link['state']}, {connected} routers, {waiting} events wait")
            await asyncio.sleep(_LOOK_S)
