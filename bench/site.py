"""Everything that runs during a benchmark: backend, hub, plain Envoy, gateways with more and more APIs."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from bench import documents, plain
from bench.backend import addresses
from bench.caller import Caller, NotAnswered
from bench.children import Children
from bench.configuration import Link
from bench.gateway import PROGRAM, Gateway
from bench.hub_call import HubCall
from bench.ports import HOST, free_port
from bench.slices import Target
from gatewright.demo.children import Child
from gatewright.hub.client import CA_FILE, HubClient, HubClientError
from gatewright.router.binary import locate

PLAIN = {"plain": plain.same_api, "shortest": plain.one_prefix}
_START_S = 60.0
_FILL_S = 180.0
_AT_ONCE = 8


class Site:
    """The processes of one run, all in `folder`."""

    def __init__(self, folder: Path, children: Children, *, sizes: Mapping[str, int], upstreams: int) -> None:
        """`sizes`: APIs by gateway. `upstreams`: addresses on which the backend answers."""
        self.folder = folder
        self.children = children
        self.sizes = dict(sizes)
        self.first_sync: dict[str, float] = {}
        self.gateways: dict[str, Gateway] = {}
        self.key = ""
        self._addresses = addresses(upstreams)
        self._backend_port = 0
        self._plain: dict[str, tuple[Child, int]] = {}
        self._hub: HubClient | None = None
        self._hub_port = 0

    async def start(self) -> None:
        """Backend, hub, beside a small gateway the plain Envoys; the gateways are registered but do not run yet."""
        self._backend_port = await self._start_backend()
        for name, configuration in PLAIN.items() if "few" in self.sizes else ():
            self._plain[name] = await self._start_plain(name, configuration)
        await self._start_hub()
        for name in self.sizes:
            self.gateways[name] = Gateway(name, self.folder, self.children, await self.register(name))
        await self._give()

    async def register(self, name: str, *, port: int = 0) -> Link:
        """A gateway at the hub; what it needs to connect, at another port than the hub's when one is given."""
        await self.hub.register(name)
        token = (await self.hub.issue_token(name)).token
        return Link(f"{HOST}:{port or self._hub_port}", token=token, authority=self.folder / "hub" / CA_FILE)

    async def start_delay(self, gateway: str, round_trip_ms: float) -> tuple[Child, int]:
        """A longer way to the hub for one gateway, and the port at its beginning."""
        options = ("--to", str(self._hub_port), "--round-trip-ms", str(round_trip_ms))
        return await self._start_telling(f"delay-{gateway}", "bench.delaying", *options)

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

    def hub_call(self) -> HubCall:
        """A connection for calls that are measured; to be closed."""
        return HubCall(self.folder / "hub", self._hub_port)

    def upstream(self, number: int = 0) -> str:
        """URL of the backend; another address for every number."""
        return f"http://{self._addresses[number % len(self._addresses)]}:{self._backend_port}"

    def last(self, gateway: str) -> str:
        """Name of the last API of a gateway: no policies, answered by the backend."""
        return _name(self.sizes[gateway] - 1)

    def protected(self, gateway: str) -> str:
        """Name of the API that asks for a key."""
        return _name(self.sizes[gateway] - 2)

    async def fill(self, gateway: str) -> None:
        """Start a gateway that the hub has given all its APIs; the seconds until the last one serves are noted."""
        began = asyncio.get_running_loop().time()
        self.gateways[gateway].start()
        await self.until_last_serves(gateway, timeout_s=_FILL_S)
        self.first_sync[gateway] = asyncio.get_running_loop().time() - began
        await self._until_reconciled(gateway)

    async def _until_reconciled(self, gateway: str) -> None:
        """Keys and subscriptions are still asked for when the last API serves; nothing is measured beside that."""
        deadline = asyncio.get_running_loop().time() + _FILL_S
        async with self.gateways[gateway].administration() as admin:
            while "lastReconcile" not in (await admin.status())["controlPlane"]:
                if asyncio.get_running_loop().time() > deadline:
                    raise NotAnswered(f"the first reconcile of {gateway} does not end")
                await asyncio.sleep(0.5)

    async def _give(self) -> None:
        """All APIs to the hub, each with an upstream of its own; the backend answers the last two of a gateway."""
        await self.at_once(
            self.hub.deploy(
                documents.rest_api(_name(number), documents.silent_upstream(number)),
                [name for name, size in self.sizes.items() if number < size - 2],
            )
            for number in range(max(self.sizes.values(), default=0) - 2)
        )
        for name in self.sizes:
            protected = documents.rest_api(self.protected(name), self.upstream(1), protected=True)
            for document in (protected, documents.rest_api(self.last(name), self.upstream())):
                await self.hub.deploy(document, [name])

    async def at_once(self, calls: Iterable[Awaitable[object]]) -> None:
        """Do all of these, several at a time."""
        waiting = iter(calls)

        async def work() -> None:
            for call in waiting:
                await call

        async with asyncio.TaskGroup() as tasks:
            for _ in range(_AT_ONCE):
                tasks.create_task(work())

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
        _, port = await self._start_telling("backend", "bench.backend", "--addresses", str(len(self._addresses)))
        return port

    async def _start_telling(self, name: str, module: str, *options: str) -> tuple[Child, int]:
        """A program of ours that prints its port."""
        child = self.children.start(name, (sys.executable, "-m", module, *options))
        deadline = asyncio.get_running_loop().time() + _START_S
        while not (told := " ".join(child.tail(1))).isdigit():
            child.check()
            if asyncio.get_running_loop().time() > deadline:
                raise NotAnswered(f"the {name} does not start: {told}")
            await asyncio.sleep(0.02)
        return child, int(told)

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


def _name(number: int) -> str:
    return f"bench-{number}"
