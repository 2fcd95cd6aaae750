"""Which API a refused resource is refused for, when several share it.

A router that refuses a resource keeps its last good version, so trying costs nobody any traffic: each suspect in turn
is set back to its last good form, until the router accepts. Suspects are those that have changed since the resource
was last accepted.
"""

from collections.abc import Collection, Iterable, Mapping

from gatewright.deployment.placement import Placement
from gatewright.deployment.serving import DataPlane, ResourceId
from gatewright.envoy.forms import needs_flat
from gatewright.envoy.resource import CLUSTER
from gatewright.model.api import Api

_PATIENCE_S = 5.0


class Undecided(Exception):
    """The routers went away or do not answer, or a suspect was changed."""


class Isolation:
    """Finds culprits and takes them back; one search at a time."""

    def __init__(self, placement: Placement, data_plane: DataPlane) -> None:
        self._placement = placement
        self._data_plane = data_plane

    async def find(self, key: ResourceId, hints: Collection[str]) -> dict[str, Api] | None:
        """The APIs that `key` is refused for, with the models that were refused.

        They are back to their last good form when this returns. `hints` are looked at first. Empty: nothing that could
        be taken back is in the resource. None: it could not be decided now.
        """
        concerned = self._placement.users_of(key)
        suspects = self._suspects(key, concerned)
        search = _Search(self._placement, suspects)
        if len(suspects) <= 1 or key[0] == CLUSTER:
            await search.back(suspects)
            return search.unchanged()
        try:
            for api_id in self._in_turn(suspects, hints):
                await search.back([api_id])
                accepted = await self._is_accepted(key, concerned)
                search.check()
                if accepted:
                    return {api_id: suspects[api_id]}
                await search.again([api_id])
            culprits = await self._one_by_one(key, concerned, search)
            search.check()
            return {api_id: suspects[api_id] for api_id in culprits}
        except Undecided:
            await search.again(suspects)
            return None

    def _in_turn(self, suspects: Mapping[str, Api], hints: Collection[str]) -> list[str]:
        """Hints first, and last those without which all others would stand in other resources."""
        good = self._placement.good

        def changes_form(api_id: str) -> bool:
            model = good.get(api_id)
            return needs_flat(suspects[api_id]) and not (model is not None and needs_flat(model))

        return sorted(suspects, key=lambda api_id: (api_id not in hints, changes_form(api_id), api_id))

    def _suspects(self, key: ResourceId, concerned: Iterable[str]) -> dict[str, Api]:
        suspects: dict[str, Api] = {}
        for api_id in concerned:
            api, good = self._placement.index.get(api_id), self._placement.good.get(api_id)
            if api is not None and not _same(api, good) and not (key[0] == CLUSTER and _uses(good, key[1])):
                suspects[api_id] = api
        return suspects

    async def _one_by_one(self, key: ResourceId, concerned: Iterable[str], search: "_Search") -> list[str]:
        """Several are at fault: all back, then each put in alone."""
        await search.back(search.suspects)
        culprits: list[str] = []
        for api_id in search.suspects:
            await search.again([api_id])
            if not await self._is_accepted(key, concerned):
                await search.back([api_id])
                culprits.append(api_id)
        return culprits

    async def _is_accepted(self, key: ResourceId, concerned: Iterable[str]) -> bool:
        """What the routers say of the resource as it is now. Raises Undecided.

        When none of the concerned APIs stands in it any more, what it is proves nothing; what they stand in now does.
        """
        now = {each for api_id in concerned for each in self._placement.resources_of(api_id) if each[0] != CLUSTER}
        asked = {key} if key in now else now or {key}
        versions = {each: self._placement.version(each) for each in asked}
        settled = await self._data_plane.settled(versions, _PATIENCE_S)
        if settled.refused is not None:
            return False
        if settled.pending or not settled.routers:
            raise Undecided
        return True


class _Search:
    """The suspects of one search; whoever is changed by its owner meanwhile is one no longer."""

    def __init__(self, placement: Placement, suspects: Mapping[str, Api]) -> None:
        self.suspects = suspects
        self._placement = placement
        self._epochs = {api_id: placement.epoch(api_id) for api_id in suspects}

    async def back(self, api_ids: Iterable[str]) -> None:
        """To their last good form."""
        good = self._placement.good
        await self._placement.place({api_id: good.get(api_id) for api_id in api_ids}, trial=self._epochs)

    async def again(self, api_ids: Iterable[str]) -> None:
        """To the form that is suspected."""
        await self._placement.place({api_id: self.suspects[api_id] for api_id in api_ids}, trial=self._epochs)

    def unchanged(self) -> dict[str, Api]:
        """The suspects that nobody has changed meanwhile."""
        return {
            api_id: api
            for api_id, api in self.suspects.items()
            if self._placement.epoch(api_id) == self._epochs[api_id]
        }

    def check(self) -> None:
        """Raises Undecided when a suspect was changed: what the routers say then proves nothing about the others."""
        if len(self.unchanged()) != len(self.suspects):
            raise Undecided


def _same(one: Api | None, other: Api | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.content_hash == other.content_hash


def _uses(api: Api | None, cluster: str) -> bool:
    return api is not None and any(upstream.name == cluster for upstream in api.upstreams)
