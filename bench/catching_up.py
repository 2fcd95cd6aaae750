"""APIs that are made at a gateway while its API Manager is away: when all are there, and how many come at once."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from bench import documents
from bench.caller import NotAnswered
from bench.configuration import Link
from bench.gateway import Administration, Gateway, Management
from bench.plan import Plan
from bench.ports import HOST, free_port
from bench.rows import Row, row
from bench.site import Site
from gatewright.controlplane.apim.config import DEFAULT_POOL
from gatewright.hub.apim.client import ApiManagerClient
from gatewright.hub.apim.config import ApiManagerConfig
from gatewright.hub.apim.recorder import Recorder
from gatewright.hub.apim.server import ApiManager
from gatewright.hub.config import system_clock

NAME = "bench-site"
_PATIENCE_S = 300.0
_AT_ONCE = 8
_LOOK_S = 0.5
"""Between two looks at the status, which cost the gateway time too."""


async def measure(site: Site, plan: Plan) -> list[Row]:
    """A stand-in in this process, so that it can be seen how many imports it has at one time."""
    if not plan.made_alone:
        return []
    data_dir, port = site.folder / "api-manager", free_port()
    manager = await _started(data_dir, port)
    gateway = Gateway(NAME, site.folder, site.children, await _link(manager, data_dir))
    try:
        gateway.start()
        await gateway.serving()
        async with gateway.administration() as administration, gateway.management() as management:
            await _until(administration, lambda status: status["controlPlane"]["state"] == "connected")
            await manager.stop()
            await _make(management, plan.made_alone)
            manager = await _started(data_dir, port)
            loop = asyncio.get_running_loop()
            back = loop.time()
            wanted = {"pending": 0, "synced": plan.made_alone, "failed": 0}
            await _until(administration, lambda status: status["apiManager"].get("totals") == wanted)
            took = loop.time() - back
        at_once = _counting(manager).most
    finally:
        await manager.stop()
        await gateway.stop()
    shutil.rmtree(data_dir)
    what = f"{plan.made_alone} APIs made while an API Manager was away"
    return [
        row(f"{what}: until all are synced after its return", took, "s", most=60, digits=1),
        row(f"{what}: imports at one time, at most", at_once, "imports", most=DEFAULT_POOL),
    ]


async def _make(management: Management, count: int) -> None:
    """Several at a time, as tools do."""
    waiting = iter(range(count))

    async def work() -> None:
        for number in waiting:
            await management.create(documents.rest_api(f"alone-{number}", documents.silent_upstream(number)))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(work())


class _Counting(Recorder):
    """Counts imports that are under way."""

    most = 0
    _present = 0

    def around(self, application: ASGIApp, ignored: str) -> ASGIApp:
        recorded = super().around(application, ignored)

        async def counting(scope: Scope, receive: Receive, send: Send) -> None:
            importing = scope["path"].endswith("/apis/import")
            self._present += importing
            self.most = max(self.most, self._present)
            try:
                await recorded(scope, receive, send)
            finally:
                self._present -= importing

        return counting


async def _started(data_dir: Path, port: int) -> ApiManager:
    config = ApiManagerConfig(data_dir=data_dir, host=HOST, port=port)
    manager = ApiManager(config)
    manager.recorder = _Counting(
        requests=config.requests_kept, upload_bytes=config.uploads_kept_bytes, clock=system_clock
    )
    await manager.start()
    return manager


def _counting(manager: ApiManager) -> _Counting:
    if not isinstance(manager.recorder, _Counting):
        raise TypeError("not the recorder that counts")
    return manager.recorder


async def _link(manager: ApiManager, data_dir: Path) -> Link:
    """Register gateway and client."""
    async with ApiManagerClient.from_data_dir(data_dir, f"https://{HOST}:{manager.port}") as client:
        registered = await client.register_gateway(NAME)
        oauth = await client.register_client("gateway-controller")
    return Link(
        f"{HOST}:{manager.port}",
        token=registered["registrationToken"],
        authority=manager.ca_file,
        name=NAME,
        client_id=oauth["clientId"],
        client_secret=oauth["clientSecret"],
    )


async def _until(administration: Administration, holds: Callable[[dict[str, Any]], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + _PATIENCE_S
    while not holds(await administration.status()):
        if asyncio.get_running_loop().time() > deadline:
            raise NotAnswered(f"not all APIs are synced within {_PATIENCE_S:g} s")
        await asyncio.sleep(_LOOK_S)
