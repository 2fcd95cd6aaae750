"""What must not grow with the number of APIs and events: waits of revocations, calls of a reconcile, memory."""

import asyncio
import gc
import hashlib
import json
import tracemalloc
from pathlib import Path

import pytest
from controlplane_lab import rest_api, until

import gatewright
from gatewright.envoy.resource import SCOPE
from gatewright.store import changes
from gatewright.wire.archives import write_batch, write_definition

BASE = "/api/internal/v1"
LATENCY = 0.05
LONG = 60.0
"""Seconds until a wait for many is given up."""

GUARD = {"name": "api-key-auth", "version": "v1", "params": {"key": "API-Key", "in": "header"}}


class Platform:
    """A control plane that takes its time for every request. Documents by deployment id."""

    def __init__(self, hostile) -> None:
        self.hostile = hostile
        self.documents: dict[str, bytes] = {}
        self.batches: list[int] = []
        hostile.answers["POST", f"{BASE}/deployments/fetch-batch"] = self._batch

    async def _batch(self, request):
        ids = json.loads(request.body)["deploymentIds"]
        self.batches.append(len(ids))
        await asyncio.sleep(LATENCY)
        return 200, write_batch({each: ("api.yaml", self.documents[each]) for each in ids})

    def put(self, api: str, deployment: str, document) -> dict:
        """Deploy; the payload of its event."""
        body = json.dumps(document).encode()
        self.documents[deployment] = body

        async def one(_request):
            await asyncio.sleep(LATENCY)
            return 200, write_definition("api.yaml", body)

        self.hostile.answers["GET", f"{BASE}/apis/{api}"] = one
        return {"apiId": api, "deploymentId": deployment}


@pytest.fixture
def platform(hostile):
    return Platform(hostile)


@pytest.fixture
async def peer(site, hostile, hostile_settings, platform):
    del platform
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        await until(lambda: plane.status().last_reconcile, LONG)
        pings = asyncio.create_task(_ping(peer))
        yield peer
        pings.cancel()
        assert plane.status().reconnects == 0


async def _ping(peer) -> None:
    while True:
        peer.frame(0x9, b"there")
        await asyncio.sleep(5)


def _hash(api: str, name: str) -> str:
    return hashlib.sha256(f"{api}/{name}".encode()).hexdigest()


def key_event(api: str, name: str) -> dict:
    key_hash = _hash(api, name)
    return {
        "apiId": api,
        "uuid": f"uuid-{api}-{name}",
        "name": name,
        "apiKeyHashes": json.dumps({"sha256": key_hash}),
        "maskedApiKey": "***",
    }


async def acknowledged(peer, count: int) -> None:
    for _ in range(count):
        ack = (await peer.message())["payload"]
        assert ack["status"] == "success", ack


@pytest.mark.conforms("CP-037")
async def test_revocations_overtake_a_burst_at_every_step(site, platform, peer):
    """They reach the routers' configuration while most of the deployments before them have not even been stored."""
    burst = 300
    guarded = rest_api("guarded")
    guarded["spec"]["policies"] = [GUARD]
    peer.event("api.deployed", platform.put("g", "d-g", guarded))
    await acknowledged(peer, 1)
    names = [f"key-{number}" for number in range(30)]
    for name in names:
        peer.event("apikey.created", key_event("g", name), userId=name)
    hashes = [_hash("g", name).encode() for name in names]

    def shown() -> int:
        scope = site.snapshot.get((SCOPE, "/guarded"))
        return sum(one in scope.body for one in hashes)

    await until(lambda: shown() == len(names), LONG)
    for number in range(burst):
        peer.event("api.deployed", platform.put(f"a{number}", f"d{number}", rest_api(f"api-{number}")))
    for name in names:
        peer.event("apikey.revoked", {"apiId": "g", "keyName": name})
    await until(lambda: shown() == 0, LONG)
    stored = len(await site.deployments.heads()) - 1
    assert stored < burst / 2
    await acknowledged(peer, burst)
    assert max(platform.batches) <= 50
    assert len(platform.batches) <= burst / 20


async def test_a_reconcile_of_what_is_known_costs_the_lists_only(site, hostile, hostile_settings, platform):
    count = 200
    rows = []
    for number in range(count):
        platform.put(f"a{number}", f"d{number}", rest_api(f"api-{number}"))
        at = "2026-08-01T10:15:30.123Z"
        deployment = {"deploymentId": f"d{number}", "kind": "RestApi", "state": "DEPLOYED", "deployedAt": at}
        rows.append({"artifactId": f"a{number}", "etag": f"e{number}", **deployment})
    hostile.answers["GET", f"{BASE}/deployments"] = (200, {"deployments": rows})
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: plane.status().last_reconcile, LONG)
        assert plane.status().last_reconcile.counts["deployments.deployed"] == count
        await plane.reconcile()
        written = await site.store.read(lambda connection: changes.last_seq(connection, site.store.gateway_id))
        hostile.requests.clear()
        report = await plane.reconcile()
        assert (report.counts["deployments.unchanged"], report.errors) == (count, ())
        asked = sorted(request.path.removeprefix(BASE) for request in hostile.requests)
        assert asked == sorted(
            [
                "/secrets?includeValues=true",
                "/deployments",
                "/subscription-plans",
                *(f"/{kind}/api-keys" for kind in ("apis", "websub-apis", "webbroker-apis")),
                *(f"/{kind}/api-keys" for kind in ("llm-providers", "llm-proxies")),
            ]
        )
        assert written == await site.store.read(lambda connection: changes.last_seq(connection, site.store.gateway_id))


@pytest.mark.parametrize(
    ("warm_up", "lives", "most_each"), [(60, 60, 4_000), pytest.param(600, 2_000, 2_000, marks=pytest.mark.long)]
)
async def test_nothing_is_left_of_what_has_come_and_gone(site, platform, peer, warm_up, lives, most_each):
    """Five events in the life of each API: deployed, given a key, changed, its key taken, deleted.

    Memories with a bound, such as the journal, still fill in the short form.
    """
    del site

    async def live(first: int, count: int) -> None:
        for start in range(first, first + count, 20):
            for number in range(start, start + 20):
                api, document = f"a{number}", rest_api(f"api-{number}")
                peer.event("api.deployed", platform.put(api, f"d{number}", document))
                peer.event("apikey.created", key_event(api, "key"))
            await acknowledged(peer, 20)
            for number in range(start, start + 20):
                api, document = f"a{number}", rest_api(f"api-{number}", context=f"/other-{number}")
                peer.event("api.deployed", platform.put(api, f"e{number}", document))
            await acknowledged(peer, 20)
            for number in range(start, start + 20):
                peer.event("apikey.revoked", {"apiId": f"a{number}", "keyName": "key"})
                peer.event("api.deleted", {"apiId": f"a{number}"})
        peer.event("api.deployed", platform.put("last", f"d-last-{first}", rest_api("last")))
        await acknowledged(peer, 1)

    tracemalloc.start()
    try:
        await live(0, warm_up)
        before = _ours()
        await live(warm_up, lives)
        after = _ours()
    finally:
        tracemalloc.stop()
    grown = {where: size - before.get(where, 0) for where, size in after.items()}
    most = sorted(grown.items(), key=lambda item: -item[1])[:10]
    assert sum(grown.values()) / lives < most_each, most


def _ours() -> dict[str, int]:
    """Bytes by line of the product that asked for them; without the lines of the log, which pytest keeps."""
    gc.collect()
    folder = str(Path(gatewright.__file__).parent)
    taken = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(True, f"{folder}/*"), tracemalloc.Filter(False, f"{folder}/observability/*")]
    )
    return {str(one.traceback): one.size for one in taken.statistics("lineno")}
