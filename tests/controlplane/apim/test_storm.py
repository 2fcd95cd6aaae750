"""Seeded storms: API Manager fails in every way it can be asked to while APIs change; afterwards both sides agree.

A failing seed is repeated with `-k "seed0"` or its number; what was done is printed.
"""

import asyncio
import random

import pytest
from apim_lab import until
from controlplane_lab import rest_api

NAMES = ("alpha", "beta", "gamma", "delta")
FAULTS = (
    {"import_mode": "503:1"},
    {"import_mode": "500:2"},
    {"import_mode": "409:1"},
    {"import_mode": "text:1"},
    {"import_mode": "empty:1"},
    {"import_mode": "500:4"},
    {"token_mode": "401:2"},
    {"token_mode": "500:1"},
    {"token_mode": "malformed:1"},
    {"token_mode": "expires_1:2"},
    {"swagger_mode": "404:1"},
    {"swagger_mode": "500:1"},
    {"undeploy_mode": "500:2"},
    {"undeploy_mode": "200:2"},
    {"echo_on_import": "before:2"},
    {"echo_on_import": "after:2"},
    {"duplicate_events": "on:4"},
    {"well_known": "503:1"},
    {"ws_reject": "4401:1"},
    {"ws_reject": "no_ack:1"},
)


class Storm:
    """One seed's worth of changes and faults; `wanted` is what must be true in the end: name → path, None: gone."""

    def __init__(self, shop, seed: int) -> None:
        self.shop = shop
        self.dice = random.Random(seed)
        self.wanted: dict[str, str | None] = {}
        self.counter = 0
        self.doubts: list[str] = []

    async def step(self) -> None:
        await self.dice.choice((self.change, self.change, self.change, self.fault, self.fault, self.outage))()
        await asyncio.sleep(self.dice.choice((0.0, 0.0, 0.02, 0.2)))

    async def change(self) -> None:
        name = self.dice.choice(NAMES)
        self.counter += 1
        path = f"/change-{self.counter}"
        document = rest_api(name)
        document["spec"]["operations"] = [{"method": "GET", "path": path}]
        if self.wanted.get(name) is None:
            print("create", name, path)
            await self.shop.create(name, document=document)
        elif self.dice.random() < 0.3:
            print("delete", name)
            await self.shop.delete(name)
            self.wanted[name] = None
            return
        else:
            print("change", name, path)
            await self.shop.change(name, document)
        self.wanted[name] = path

    async def fault(self) -> None:
        chosen = self.dice.choice(FAULTS)
        print("fault", chosen)
        self.shop.apim.switches.turn(chosen)

    async def outage(self) -> None:
        if self.dice.random() < 0.5:
            print("tokens end")
            await self.shop.apim.client.end_access_tokens()
        else:
            print("connection drops")
            await self.shop.apim.client.restart()

    async def agrees(self) -> bool:
        """Each API that is here is there once, as it is here, and deployed; nothing else is deployed."""
        self.doubts = [doubt for name in NAMES if (doubt := await self._doubt(name))]
        return not self.doubts

    async def _doubt(self, name: str) -> str:
        client, path = self.shop.apim.client, self.wanted.get(name)
        found = [each for each in await client.apis() if each["name"] == name]
        assert len(found) <= 1, f"{name} is there {len(found)} times"
        deployed = [revision for each in found for revision in await client.revisions(each["id"], "deployed:true")]
        assert len(deployed) <= 1, f"{name} has {len(deployed)} deployed revisions"
        if path is None:
            return f"{name} is still deployed" if deployed else ""
        row = await self.shop.row(name)
        if row is None or row.cp_sync_status != "success":
            return f"{name} is {row and (row.cp_sync_status, row.cp_sync_info, row.origin)}"
        if not deployed:
            return f"{name} is not deployed"
        api = await client.api(deployed[0]["id"])
        if [operation["target"] for operation in api["operations"]] != [path]:
            return f"{name} has {api['operations']} instead of {path}"
        return "" if row.cp_artifact_id == found[0]["id"] else f"{name} has another id"


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=[] if seed < 1 else [pytest.mark.long], id=f"seed{seed}") for seed in range(20)],
)
async def test_after_the_storm_both_sides_agree(shop, seed):
    storm = Storm(shop, seed)
    for _ in range(24):
        await storm.step()
    shop.apim.switches.reset()
    await shop.apim.client.restart()
    try:
        await until(storm.agrees)
    except TimeoutError:
        pytest.fail(f"after seed {seed}: {storm.doubts}")
    await shop.connected()
