"""A snapshot with its routers and the rollout that fills it, and what tests of both do with them."""

import asyncio
from contextlib import asynccontextmanager

from gatewright.deployment.data_plane import Routers
from gatewright.deployment.rollout import Rollout
from gatewright.envoy.resource import SCOPE
from gatewright.xds.delivery import Delivery
from gatewright.xds.outcomes import Accepted, Node, Refused
from gatewright.xds.snapshot import Snapshot

KIND = "RestApi"
WORDS = "Envoy says no: missing ]"


class Router:
    """Accepts what it is sent, except resources whose bytes hold a refused text."""

    def __init__(self, name, snapshot, routers):
        self.name, self.snapshot, self.routers = name, snapshot, routers
        self.refuses = set()
        self.silent = False
        self.sent = []
        self.held = {}

    def connect(self):
        self.routers.connected(self.name, Node(self.name), "127.0.0.1")
        self.cancel = self.snapshot.subscribe(self.changed)
        self.changed([(r.type_url, r.name) for r in self.snapshot])

    def disconnect(self):
        self.cancel()
        self.routers.disconnected(self.name)

    def changed(self, keys):
        self.sent.extend(keys)
        asyncio.get_running_loop().call_soon(self.answer, tuple(keys))

    def answer(self, keys):
        if self.silent:
            return
        outcomes = []
        for key in keys:
            resource = self.snapshot.get(key)
            if resource is None:
                self.held.pop(key, None)
                outcomes.append(Accepted(key, None))
            elif any(text in resource.body for text in self.refuses):
                outcomes.append(Refused(key, resource.version, WORDS))
            else:
                self.held[key] = resource
                outcomes.append(Accepted(key, resource.version))
        self.routers.outcomes(self.name, outcomes)


class Plane:
    """A snapshot with its routers and the rollout that fills it."""

    def __init__(self, store, rules, gateway, clock, board):
        self.gateway, self.clock = gateway, clock
        self.snapshot = Snapshot()
        self.routers = Routers(Delivery(self.snapshot))
        self.router = Router("r1", self.snapshot, self.routers)
        self.rollout = Rollout(
            store,
            [rules],
            self.snapshot,
            board,
            gateway=gateway,
            data_plane=self.routers,
            clock=clock,
            poll_interval=0.05,
            drain_seconds=0.05,
        )

    @asynccontextmanager
    async def running(self, *, connected=True):
        await self.rollout.load()
        if connected:
            self.router.connect()
        task = asyncio.create_task(self.rollout.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.rollout.close()

    def scopes(self):
        return sorted(self.snapshot.of_type(SCOPE))

    def held(self, name):
        return self.router.held[(SCOPE, name)].body


async def create(deployments, document):
    return await deployments.create(KIND, document, correlation_id="c", actor="admin")


async def update(deployments, handle, document):
    return await deployments.update(KIND, handle, document, correlation_id="c", actor="admin")


async def eventually(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def settled_status(deployments, uuid, wanted):
    await eventually(lambda: deployments.status(uuid).state == wanted)
    return deployments.status(uuid)
