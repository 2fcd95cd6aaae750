"""Everything that runs during a benchmark: backend, hub, plain Envoy, a gateway with few APIs and one with many."""

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from bench import documents, plain
from bench.backend import addresses
from bench.caller import Caller, NotAnswered
from bench.children import Children
from bench.configuration import Link
from bench.gateway import PROGRAM, Gateway
from bench.hub_call import DeployCall
from bench.ports import HOST, free_port
from bench.slices import Target
from gatewright.demo.children import Child
from gatewright.hub.client import CA_FILE, HubClient, HubClientError
from gatewright.router.binary import locate

FEW, MANY = 10, 2000
PLAIN = {"plain": plain.same_api, "shortest": plain.one_prefix}
_START_S = 60.0
_FILL_S = 180.0
_AT_ONCE = 8


class Site:
    """The processes of one run, all in `folder`."""

    def __init__(self, folder: Path, children: Children, *, many: int, upstreams: int) -> None:
        """`many`: APIs of the large gateway. `upstreams`: addresses on which the backend answers."""
        self.folder = folder
        self.children = children
        self.sizes = {"few": FEW, "many": many}
        self.gateways: dict[str, Gateway] = {}
        self.key = ""
        self._addresses = addresses(upstreams)
        self._backend_port = 0
        self._plain: dict[str, tuple[Child, int]] = {}
        self._hub: HubClient | None = None
        self._hub_port = 0

    async def start(self) -> None:
        """Backend, hub, plain Envoy; the gateways are registered but do not run yet."""
        self._backend_port = await self._start_backend()
        for name, configuration in PLAIN.items():
            self._plain[name] = await self._start_plain(name, configuration)
        await self._start_hub()
        for name in self.sizes:
            await self.hub.register(name)
            token = (await self.hub.issue_token(name)).token
            authority = self.folder / "hub" / CA_FILE
            link = Link(host=f"{HOST}:{self._hub_port}", token=token, authority=authority)
            self.gateways[name] = Gateway(name, self.folder, self.children, link)

    async def close(self) -> None:
        """Close connections; the processes are ended by their `children`."""
        if self._hub is not None:
            await self._hub.aclose()

    @property
    def hub(self) -> HubClient:
        """A client of the hub."""
        if self._hub is None:
            raise NotAnswered("the hub does not run")
        return self._hub

    def deploy_call(self) -> DeployCall:
        """A connection for deployments that are measured; to be closed."""
        return DeployCall(self.folder / "hub", self._hub_port)

    def upstream(self, number: int = 0) -> str:
        """URL of the backend; another address for every number."""
        return f"http://{self._addresses[number % len(self._addresses)]}:{self._backend_port}"

    def last(self, gateway: str) -> str:
        """Name of the last API of a gateway: no policies, answered by the backend."""
        return _name(self.sizes[gateway] - 1)

    def protected(self, gateway: str) -> str:
        """Name of the API that asks for a key."""
        return _name(self.sizes[gateway] - 2)

    def documents(self, gateway: str) -> list[bytes]:
        """All APIs of a gateway, each with an upstream of its own; only the last two are answered by the backend."""
        size = self.sizes[gateway]
        silent = [documents.rest_api(_name(n), documents.silent_upstream(n)) for n in range(size - 2)]
        protected = documents.rest_api(self.protected(gateway), self.upstream(1), protected=True)
        return [*silent, protected, documents.rest_api(self.last(gateway), self.upstream())]

    async def fill(self, gateway: str) -> None:
        """Start a gateway that the hub has given all its APIs, and wait until the last one serves."""
        waiting = iter(self.documents(gateway))

        async def work() -> None:
            for document in waiting:
                await self.hub.deploy(document, [gateway])

        async with asyncio.TaskGroup() as tasks:
            for _ in range(_AT_ONCE):
                tasks.create_task(work())
        self.gateways[gateway].start()
        await self.until_last_serves(gateway, timeout_s=_FILL_S)

    async def until_last_serves(self, gateway: str, *, timeout_s: float = _START_S) -> None:
        """Raises NotAnswered."""
        with closing(Caller(self.gateways[gateway].ports.http)) as caller:
            await caller.until(200, documents.path(self.last(gateway)), timeout_s=timeout_s, pause_s=0.002)

    def target(self, gateway: str, *, key: bool = False) -> Target:
        """The last API of a gateway, or with `key` its protected one."""
        running = self.gateways[gateway]
        name = self.protected(gateway) if key else self.last(gateway)
        return Target(running.ports.http, documents.path(name), running.envoy_pid, self.key if key else "")

    def plain_target(self, name: str) -> Target:
        """A plain Envoy, on the same path as the last API of the small gateway."""
        child, port = self._plain[name]
        return Target(port, documents.path(self.last("few")), child.pid)

    async def _start_backend(self) -> int:
        child = self.children.start(
            "backend", (sys.executable, "-m", "bench.backend", "--addresses", str(len(self._addresses)))
        )
        deadline = asyncio.get_running_loop().time() + _START_S
        while not (told := " ".join(child.tail(1))).isdigit():
            child.check()
            if asyncio.get_running_loop().time() > deadline:
                raise NotAnswered(f"the backend does not start: {told}")
            await asyncio.sleep(0.02)
        return int(told)

    async def _start_plain(
        self, name: str, configuration: Callable[[int, int, str], dict[str, Any]]
    ) -> tuple[Child, int]:
        port, last = free_port(), self.last("few")
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(configuration(port, self._backend_port, documents.context(last))), encoding="ascii")
        options = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning")
        child = self.children.start(name, (str(locate()), "--config-path", str(file), *options))
        with closing(Caller(port)) as caller:
            await caller.until(200, documents.path(last), timeout_s=_START_S, pause_s=0.01)
        return child, port

    async def _start_hub(self) -> None:
        port, data_dir = free_port(), self.folder / "hub"
        options = ("hub", "start", "--host", HOST, "--port", str(port), "--data-dir", str(data_dir))
        child = self.children.start("hub", (*PROGRAM, *options), 10.0)
        deadline = asyncio.get_running_loop().time() + _START_S
        while self._hub is None:
            child.check()
            try:
                hub = HubClient.from_data_dir(data_dir, port=port, host=HOST)
                await hub.health()
            except HubClientError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.05)
            else:
                self._hub, self._hub_port = hub, port


class Plan(msgspec.Struct, frozen=True):
    """How much is measured. Times in seconds."""

    rounds: int
    slice_s: float
    deploys: int
    starts: int
    edits: int = 200
    connections: int = 16
    many: int = MANY


FULL = Plan(rounds=15, slice_s=2.0, deploys=300, starts=5)
QUICK = Plan(rounds=8, slice_s=0.5, deploys=60, starts=1)


def _name(number: int) -> str:
    return f"bench-{number}"
