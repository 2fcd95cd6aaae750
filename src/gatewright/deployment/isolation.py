"""Which API a refused resource is refused for, when several share it.

A router that refuses a resource keeps its last good version, so trying costs nobody any traffic: each suspect in turn
is set back to its last good form, until the router accepts. Suspects are those that have changed since the resource
was last accepted.
"""

from collections.abc import Collection

from gatewright.deployment.placement import Placement
from gatewright.deployment.serving import DataPlane, ResourceId
from gatewright.envoy.resource import CLUSTER
from gatewright.model.api import Api

_PATIENCE_S = 5.0


class Undecided(Exception):
    """The routers went away or do not answer; the refusal will come again when they are back."""


class Isolation:
    """Finds culprits and takes them back; one search at a time."""

    def __init__(self, placement: Placement, data_plane: DataPlane) -> None:
        self._placement = placement
        self._data_plane = data_plane

    async def find(self, key: ResourceId, hints: Collection[str]) -> dict[str, Api]:
        """The APIs that `key` is refused for, with the models that were refused.

        They are back to their last good form when this returns. `hints` are looked at first. Empty: nothing that could
        be taken back is in the resource, or the routers do not answer.
        """
        suspects = self._suspects(key)
        if len(suspects) <= 1 or key[0] == CLUSTER:
            await self._back(suspects)
            return suspects
        try:
            for api_id in sorted(suspects, key=lambda suspect: (suspect not in hints, suspect)):
                if await self._accepted_without(key, {api_id: suspects[api_id]}):
                    return {api_id: suspects[api_id]}
            return await self._one_by_one(key, suspects)
        except Undecided:
            await self._again(suspects)
            return {}

    def _suspects(self, key: ResourceId) -> dict[str, Api]:
        suspects: dict[str, Api] = {}
        for api_id in self._placement.users_of(key):
            api, good = self._placement.index.get(api_id), self._placement.good.get(api_id)
            if api is not None and not _same(api, good) and not (key[0] == CLUSTER and _uses(good, key[1])):
                suspects[api_id] = api
        return suspects

    async def _accepted_without(self, key: ResourceId, suspect: dict[str, Api]) -> bool:
        """Whether the resource is fine once the suspect is back; if not, the suspect is put in again."""
        await self._back(suspect)
        if await self._is_accepted(key):
            return True
        await self._again(suspect)
        return False

    async def _one_by_one(self, key: ResourceId, suspects: dict[str, Api]) -> dict[str, Api]:
        """Several are at fault: all back, then each put in alone."""
        await self._back(suspects)
        culprits: dict[str, Api] = {}
        for api_id, api in suspects.items():
            await self._again({api_id: api})
            if not await self._is_accepted(key):
                await self._back({api_id: api})
                culprits[api_id] = api
        return culprits

    async def _back(self, suspects: dict[str, Api]) -> None:
        """To their last good form, unless somebody has changed them meanwhile."""
        index, good = self._placement.index, self._placement.good
        await self._placement.place(
            {api_id: good.get(api_id) for api_id, api in suspects.items() if _same(index.get(api_id), api)}
        )

    async def _again(self, suspects: dict[str, Api]) -> None:
        """The reverse of `_back`."""
        index, good = self._placement.index, self._placement.good
        await self._placement.place(
            {api_id: api for api_id, api in suspects.items() if _same(index.get(api_id), good.get(api_id))}
        )

    async def _is_accepted(self, key: ResourceId) -> bool:
        """What the routers say of the resource as it is now. Raises Undecided."""
        settled = await self._data_plane.settled({key: self._placement.version(key)}, _PATIENCE_S)
        if settled.refused is not None:
            return False
        if settled.pending or not settled.routers:
            raise Undecided
        return True


def _same(one: Api | None, other: Api | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.content_hash == other.content_hash


def _uses(api: Api | None, cluster: str) -> bool:
    return api is not None and any(upstream.name == cluster for upstream in api.upstreams)
