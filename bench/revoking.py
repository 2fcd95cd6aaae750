"""From the hub's revocation of a key to the first 401, at two routers; in peace, and in the middle of deployments.

Both routers listen on the same port, and the kernel gives each connection to one of them for good.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing

import msgspec

from bench import documents
from bench.caller import Caller, NotAnswered
from bench.deploying import percentile
from bench.edge import Edge, edge, linked
from bench.gateway import Gateway
from bench.hub_call import HubCall
from bench.measuring import holds
from bench.plan import Plan
from bench.rows import Row, row
from bench.site import Site

P99_MS = 1000.0
_GATEWAY, _GUARDED = "revoking", "guarded"
_PAUSE_S = 0.03
_POLL_S = 0.003
_PATIENCE_S = 60.0
_ATTEMPTS = 200


class Key(msgspec.Struct, frozen=True):
    """A key by its name at the hub, and its value."""

    name: str
    value: str


async def measure(site: Site, plan: Plan) -> list[Row]:
    """Each time the slower of the two routers counts. A key is used at both before it is revoked."""
    async with edge(site, _GATEWAY) as there, _further_router(site, there.gateway) as other:
        gateway = there.gateway
        await site.hub.deploy(documents.rest_api(_GUARDED, site.upstream(1), protected=True), [_GATEWAY])
        keys = [await _key(site, number) for number in range(2 * plan.revocations)]
        with ExitStack() as stack:
            callers = [stack.enter_context(closing(_at(one.envoy_pid, gateway))) for one in (gateway, other)]
            call = stack.enter_context(closing(site.hub_call()))
            calm = [await _revoke(call, callers, key) for key in keys[: plan.revocations]]
            stormy = await _in_a_storm(site, plan, there, callers, keys[plan.revocations :])
    during = f"revocation among {plan.burst} deployments that arrive at once"
    return [
        row("revocation at two routers: p50", percentile(calm, 50) * 1000, "ms", digits=1),
        row("revocation at two routers: p99", percentile(calm, 99) * 1000, "ms", most=P99_MS, digits=1),
        row(f"{during}: p50", percentile(stormy, 50) * 1000, "ms", digits=1),
        row(f"{during}: p99", percentile(stormy, 99) * 1000, "ms", most=P99_MS, digits=1),
        row(f"{during}: slowest of {len(stormy)}", max(stormy) * 1000, "ms", digits=1),
    ]


async def _in_a_storm(site: Site, plan: Plan, there: Edge, callers: list[Caller], keys: list[Key]) -> list[float]:
    """Seconds from the arrival of all these events until each key is refused at both routers."""
    names = [f"storm-{number}" for number in range(plan.burst)]
    every = plan.burst // len(keys)

    def calls() -> Iterator[Awaitable[object]]:
        for number, name in enumerate(names):
            yield site.hub.deploy(documents.rest_api(name, site.upstream(number)), [_GATEWAY])
            if number % every == 0 and number // every < len(keys):
                yield site.hub.revoke_key(_GUARDED, keys[number // every].name)

    for caller in callers:
        await caller.until(200, documents.path(_GUARDED), key=keys[-1].value)
    with there.closed():
        await site.at_once(calls())
    began = time.perf_counter()
    refused = await asyncio.gather(*(asyncio.to_thread(_until_refused, caller, keys) for caller in callers))
    with closing(Caller(there.gateway.ports.http)) as caller:
        await caller.until(200, documents.path(names[-1]), pause_s=0.02)
    return [max(at[key] for at in refused) - began for key in keys]


def _until_refused(caller: Caller, keys: list[Key]) -> dict[Key, float]:
    """When each key was refused first, as `time.perf_counter`. Raises NotAnswered."""
    path, refused = documents.path(_GUARDED), dict[Key, float]()
    deadline = time.perf_counter() + _PATIENCE_S
    while waiting := [key for key in keys if key not in refused]:
        for key in waiting:
            if caller.status(path, key=key.value) == 401:
                refused[key] = time.perf_counter()
        if time.perf_counter() > deadline:
            raise NotAnswered(f"{len(waiting)} revoked keys are still taken after {_PATIENCE_S:g} s")
        time.sleep(_POLL_S)
    return refused


async def _key(site: Site, number: int) -> Key:
    # The gateway takes a few keys only of each person.
    name = f"key-{number}"
    made = await site.hub.create_key(_GUARDED, name, created_by=f"person-{number}")
    return Key(name, made.api_key)


async def _revoke(call: HubCall, callers: list[Caller], key: Key) -> float:
    """Seconds until neither router takes the key any more."""
    path = documents.path(_GUARDED)
    for caller in callers:
        await caller.until(200, path, key=key.value)
    async with asyncio.TaskGroup() as tasks:
        refused = [tasks.create_task(caller.until(401, path, key=key.value, pause_s=_POLL_S)) for caller in callers]
        began = tasks.create_task(call.revoke(_GUARDED, key.name))
    await asyncio.sleep(_PAUSE_S)
    return max(one.result() for one in refused) - began.result()


@asynccontextmanager
async def _further_router(site: Site, gateway: Gateway) -> AsyncIterator[Gateway]:
    other = Gateway(f"{_GATEWAY}-2", site.folder, site.children, of=gateway)
    other.start()
    try:
        await linked(gateway, routers=2)
        yield other
    finally:
        await other.stop()


def _at(envoy_pid: int, gateway: Gateway) -> Caller:
    """A connection that this Envoy has accepted. Raises NotAnswered."""
    deadline = time.monotonic() + 30
    for _ in range(_ATTEMPTS):
        caller = Caller(gateway.ports.http)
        caller.status("/_gateway-health/ready")
        if holds(envoy_pid, caller.local_port):
            return caller
        caller.close()
        if time.monotonic() > deadline:
            break
    raise NotAnswered(f"no connection to port {gateway.ports.http} is accepted by the Envoy {envoy_pid}")
