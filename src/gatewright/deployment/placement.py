"""Which compiled APIs are in the snapshot, and putting others there: index, render, apply, as one step.

One step at a time (a lock); rendering that takes long happens in a thread. Knows nothing of the database.
"""

import asyncio
from collections.abc import Container, Iterable, Mapping
from functools import partial
from typing import Protocol

import msgspec

from gatewright.deployment import metrics
from gatewright.deployment.credentials import Credentials
from gatewright.deployment.serving import DataPlane, ResourceId
from gatewright.envoy import Changes, Resource, ScopeIndex, Touched, render_all, render_changes, render_credentials
from gatewright.envoy.clusters import render_cluster
from gatewright.envoy.flat import FLAT_NAME
from gatewright.envoy.listeners import render_secrets
from gatewright.envoy.resource import CLUSTER, LISTENER, ROUTES, SCOPE, SECRET
from gatewright.envoy.scopes import scope_id
from gatewright.model.api import Api
from gatewright.model.gateway import Gateway
from gatewright.model.upstreams import Upstream

Versions = Mapping[ResourceId, str | None]

_MANY_SCOPES = 8
_MANY_APIS_IN_SCOPE = 64
_MANY_CREDENTIALS = 500


class Applied(Protocol):
    """What an application did."""

    @property
    def versions(self) -> Versions:
        """Every resource that was given, None for a removed one."""
        ...


class SnapshotPort(Protocol):
    """The part of `xds.snapshot.Snapshot` that is used here."""

    def apply(self, put: Iterable[Resource], remove: Iterable[ResourceId] = ()) -> Applied:
        """Put and remove in one step."""
        ...

    def get(self, key: ResourceId) -> Resource | None:
        """The current resource."""
        ...


class Placed(msgspec.Struct, frozen=True):
    """The resources that carry an API, and those that carried it before and do so no more.

    Listeners that are about to change their form are among the latter: until then the old form answers.
    """

    resources: tuple[ResourceId, ...]
    left: tuple[ResourceId, ...] = ()


class Placement:
    """The APIs in the snapshot. `good` is, per API, the last model that a router is known to have accepted."""

    def __init__(
        self,
        snapshot: SnapshotPort,
        credentials: Credentials,
        *,
        gateway: Gateway,
        data_plane: DataPlane | None,
        drain_seconds: float,
    ) -> None:
        self.index = ScopeIndex()
        self.good: dict[str, Api] = {}
        self._epochs: dict[str, int] = {}
        self._placings = 1
        self._snapshot = snapshot
        self._credentials = credentials
        self._gateway = gateway
        self._data_plane = data_plane
        self._drain_seconds = drain_seconds
        self._lock = asyncio.Lock()
        self._leaving: asyncio.TimerHandle | None = None
        self._opening: tuple[ResourceId, ...] = ()

    async def load(self, apis: Iterable[Api]) -> None:
        """The complete state, in one update. Raises what rendering raises; then nothing has changed."""
        async with self._lock:
            index = ScopeIndex(apis)
            with metrics.snapshot_generation("artifacts", "start"):
                resources = await asyncio.to_thread(
                    render_all, index, credentials=self._credentials, gateway=self._gateway
                )
            self.index = index
            self._epochs = {api.api_id: self._placings for api in index.apis()}
            self._snapshot.apply(resources)

    def prepare(self, gateway: Gateway) -> None:
        """What the next `load` renders with."""
        self._gateway = gateway

    async def replace_gateway(self, gateway: Gateway) -> tuple[ResourceId, ...]:
        """Other certificates of listeners, or other authorities for upstreams; nothing else may differ.

        Gives the resources that a router must accept for it.
        Clusters are sent anew only when the first custom authority comes or the last one goes.
        """
        async with self._lock:
            if gateway == self._gateway:
                return ()
            changed_source = bool(gateway.upstream_tls.custom_ca) != bool(self._gateway.upstream_tls.custom_ca)
            upstreams = self.index.upstreams() if changed_source else ()
            with metrics.snapshot_generation("gateway"):
                clusters = await asyncio.to_thread(lambda: [render_cluster(each, gateway) for each in upstreams])
                secrets = render_secrets(gateway)
            names = {secret.name for secret in secrets}
            gone = [(SECRET, secret.name) for secret in render_secrets(self._gateway) if secret.name not in names]
            self._gateway = gateway
            put = [*secrets, *clusters]
            self._snapshot.apply(put, gone)
            return (*((one.type_url, one.name) for one in put), *gone)

    def epoch(self, api_id: str) -> int:
        """When the API was last placed by its owner, as a number that grows with every placing; 0: it is not there.

        Trials do not count.
        """
        return self._epochs.get(api_id, 0)

    async def place(
        self, wanted: Mapping[str, Api | None], *, trial: Mapping[str, int] | None = None
    ) -> dict[str, Placed]:
        """Put these APIs in (None: take them out); per API, the resources that a router must accept for it.

        `trial` holds epochs: an API that its owner has placed since then is left alone. Raises what rendering raises;
        then nothing has changed.
        """
        async with self._lock:
            if trial is not None:
                wanted = {api_id: api for api_id, api in wanted.items() if self.epoch(api_id) == trial[api_id]}
            before = {api_id: self.resources_of(api_id) for api_id in wanted}
            self._note_accepted({key for keys in before.values() for key in keys})
            models = {api_id: self.index.get(api_id) for api_id in wanted}
            touched = _merged([self.index.apply(api_id, api) for api_id, api in wanted.items()])
            if not touched.form_changed:
                self._note_accepted(self._shared_by(touched), but=wanted)
            if touched != Touched():
                try:
                    with metrics.snapshot_generation("artifacts"):
                        changes = await self._rendered(touched)
                except BaseException:
                    for api_id, api in models.items():
                        self.index.apply(api_id, api)
                    raise
                self._apply(changes)
                if touched.form_changed:
                    self._opening = tuple((LISTENER, listener.name) for listener in self._gateway.listeners)
            if trial is None:
                self._placings += 1
                for api_id, api in wanted.items():
                    if api is not None:
                        self._epochs[api_id] = self._placings
                    else:
                        self._epochs.pop(api_id, None)
            after = {api_id: self.resources_of(api_id) for api_id in wanted}
            opening = self._still_opening()
        return {
            api_id: Placed(keys, (*(key for key in before[api_id] if key not in keys), *opening))
            for api_id, keys in after.items()
        }

    async def refresh_credentials(self, api_ids: Iterable[str]) -> None:
        """The keys of these APIs have changed."""
        async with self._lock:
            known = [api_id for api_id in api_ids if self.index.get(api_id) is not None]
            if not known:
                return
            render = partial(
                render_credentials, self.index, known, credentials=self._credentials, gateway=self._gateway
            )
            with metrics.snapshot_generation("credentials"):
                if self.index.form == "flat" or self._has_many_credentials(known):
                    changes = await asyncio.to_thread(render)
                else:
                    changes = render()
            self._apply(changes)

    def _has_many_credentials(self, api_ids: Iterable[str]) -> bool:
        """Whether rendering the scopes of these APIs takes so long that others would notice."""
        segments = {segment for api_id in api_ids for segment in self.index.scopes_of(api_id)}
        neighbours = {api.api_id for segment in segments for api in self.index.apis_in(segment)}
        return sum(self._credentials.count(api_id) for api_id in neighbours) > _MANY_CREDENTIALS

    def version(self, key: ResourceId) -> str | None:
        """The version that the snapshot has now."""
        resource = self._snapshot.get(key)
        return None if resource is None else resource.version

    def model(self, api_id: str) -> str | None:
        """Content hash of the model that is in the snapshot now."""
        api = self.index.get(api_id)
        return None if api is None else api.content_hash

    def users_of(self, key: ResourceId) -> list[str]:
        """The APIs that a resource is made of; empty for what belongs to the gateway itself or is about to leave."""
        type_url, name = key
        flat = self.index.form == "flat"
        if flat and key == (ROUTES, FLAT_NAME):
            return [api.api_id for api in self.index.apis()]
        if type_url == CLUSTER:
            return [api.api_id for api in self.index.apis() if any(u.name == name for u in api.upstreams)]
        if type_url == SCOPE and not flat:
            return [api.api_id for api in self.index.apis_in(name.removeprefix("/"))]
        return []

    def resources_of(self, api_id: str) -> tuple[ResourceId, ...]:
        """The resources that carry an API now."""
        api = self.index.get(api_id)
        if api is None:
            return ()
        clusters = [(CLUSTER, upstream.name) for upstream in api.upstreams]
        if self.index.form == "flat":
            return (*clusters, (ROUTES, FLAT_NAME))
        return (*clusters, *(scope_id(segment) for segment in self.index.scopes_of(api_id)))

    def close(self) -> None:
        """Stop what waits for a drain."""
        if self._leaving is not None:
            self._leaving.cancel()

    def _still_opening(self) -> tuple[ResourceId, ...]:
        """The listeners, while a router has not yet changed their form."""
        if self._opening and self._data_plane is not None:
            settled = self._data_plane.now({key: self.version(key) for key in self._opening})
            if not settled.pending:
                self._opening = ()
        return self._opening

    def _note_accepted(self, replaced: Iterable[ResourceId], *, but: Container[str] = ()) -> None:
        """Before resources are replaced: if routers have accepted one, all that it is made of is good, `but` these."""
        if self._data_plane is None:
            return
        for key in replaced:
            version = self.version(key)
            if key[0] == CLUSTER or version is None:
                continue
            settled = self._data_plane.now({key: version})
            if settled.routers and settled.refused is None and not settled.pending:
                for api_id in self.users_of(key):
                    api = self.index.get(api_id)
                    if api is not None and api_id not in but:
                        self.good[api_id] = api

    def _shared_by(self, touched: Touched) -> Iterable[ResourceId]:
        """The resources in which APIs that do not change stand beside those that do."""
        if self.index.form == "flat":
            return [(ROUTES, FLAT_NAME)]
        return [scope_id(segment) for segment in touched.scopes]

    async def _rendered(self, touched: Touched) -> Changes:
        many = (
            self.index.form == "flat"
            or touched.form_changed
            or len(touched.scopes) > _MANY_SCOPES
            or any(len(self.index.apis_in(segment)) > _MANY_APIS_IN_SCOPE for segment in touched.scopes)
        )
        if many:
            return await asyncio.to_thread(
                render_changes, self.index, touched, credentials=self._credentials, gateway=self._gateway
            )
        return render_changes(self.index, touched, credentials=self._credentials, gateway=self._gateway)

    def _apply(self, changes: Changes) -> None:
        self._snapshot.apply(changes.put, changes.remove)
        if changes.remove_after_drain:
            if self._leaving is not None:
                self._leaving.cancel()
            loop = asyncio.get_running_loop()
            self._leaving = loop.call_later(
                self._drain_seconds, self._remove_left, self.index.form, changes.remove_after_drain
            )

    def _remove_left(self, form: str, keys: tuple[tuple[str, str], ...]) -> None:
        """The drain is over: what the left form had may go, unless that form has come back."""
        self._leaving = None
        if self.index.form == form:
            self._snapshot.apply((), keys)


def _merged(steps: Iterable[Touched]) -> Touched:
    """One after another as one: what was added and removed again, or the other way round, is neither."""
    scopes: set[str] = set()
    added: dict[str, Upstream] = {}
    removed: set[str] = set()
    form_changed = False
    for step in steps:
        scopes.update(step.scopes)
        form_changed ^= step.form_changed
        for name in step.clusters_removed:
            if added.pop(name, None) is None:
                removed.add(name)
        for upstream in step.clusters_added:
            if upstream.name in removed:
                removed.discard(upstream.name)
            else:
                added[upstream.name] = upstream
    return Touched(
        scopes=tuple(sorted(scopes)),
        clusters_added=tuple(added.values()),
        clusters_removed=tuple(sorted(removed)),
        form_changed=form_changed,
    )
