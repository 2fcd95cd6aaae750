"""The resources that should be served now. Belongs to one event loop; no I/O.

`apply` changes it and tells the subscribers at once which keys changed; each of them sends what its router lacks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

import msgspec

from gatewright.envoy.resource import Resource
from gatewright.xds.keys import USERS_OF_CLUSTERS, ResourceKey, key_of
from gatewright.xds.needs import clusters_needed

Listener: TypeAlias = Callable[[tuple[ResourceKey, ...]], None]

_NOTHING: frozenset[str] = frozenset()


class Update(msgspec.Struct, frozen=True):
    """What one `apply` did.

    `id` counts up. `changed` are the keys whose content is different now. `versions` has every key that was given,
    None for a removal: what to hand to `Delivery.settled`.
    """

    id: int
    changed: tuple[ResourceKey, ...]
    versions: dict[ResourceKey, str | None]


class Snapshot:
    """Current resources by type and name.

    Nothing is sent from a snapshot that has not been loaded: an empty answer would make a router drop what it serves.
    The first `apply` loads it, unless `hold` is set; then `release` does.
    """

    def __init__(self, *, hold: bool = False) -> None:
        self._resources: dict[str, dict[str, Resource]] = {}
        self._needs: dict[ResourceKey, tuple[str, frozenset[str]]] = {}
        self._listeners: list[Listener] = []
        self._updates = 0
        self._hold = hold
        self.loaded = False

    def apply(self, put: Iterable[Resource], remove: Iterable[ResourceKey] = ()) -> Update:
        """Put and remove in one step; of several with the same key the last one counts, and putting beats removing.

        Content with the version that is already there is no change. Subscribers are called before this returns.
        """
        versions: dict[ResourceKey, str | None] = dict.fromkeys(remove)
        changed: dict[ResourceKey, None] = {}
        for resource in put:
            key = key_of(resource)
            versions[key] = resource.version
            if self._put(resource):
                changed[key] = None
        for key in [key for key, version in versions.items() if version is None]:
            if self._resources.get(key[0], {}).pop(key[1], None) is not None:
                self._needs.pop(key, None)
                changed[key] = None
        self._updates += 1
        update = Update(id=self._updates, changed=tuple(changed), versions=versions)
        opened = not self.loaded and not self._hold
        self.loaded = self.loaded or opened
        if changed or opened:
            self._tell(update.changed)
        return update

    def release(self) -> None:
        """The content is complete enough to be served (only with `hold`)."""
        self._hold = False
        if not self.loaded:
            self.loaded = True
            self._tell(())

    def get(self, key: ResourceKey) -> Resource | None:
        """The current resource of that key."""
        return self._resources.get(key[0], {}).get(key[1])

    def of_type(self, type_url: str) -> Mapping[str, Resource]:
        """Resources of one type by name: a live view, not to be kept over an `apply`."""
        return self._resources.get(type_url, {})

    def __iter__(self) -> Iterator[Resource]:
        """All resources."""
        for resources in self._resources.values():
            yield from resources.values()

    def __len__(self) -> int:
        """Number of resources."""
        return sum(len(resources) for resources in self._resources.values())

    def needs(self, key: ResourceKey) -> frozenset[str]:
        """Clusters that the current resource of `key` needs; read from its bytes once for each version."""
        if key[0] not in USERS_OF_CLUSTERS:
            return _NOTHING
        resource = self.get(key)
        if resource is None:
            return _NOTHING
        known = self._needs.get(key)
        if known is None or known[0] != resource.version:
            known = (resource.version, clusters_needed(resource))
            self._needs[key] = known
        return known[1]

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with the changed keys after each change; returns what ends that.

        It must neither block nor call `apply`.
        """
        self._listeners.append(listener)

        def cancel() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return cancel

    def _put(self, resource: Resource) -> bool:
        resources = self._resources.setdefault(resource.type_url, {})
        before = resources.get(resource.name)
        if before is not None and before.version == resource.version:
            return False
        resources[resource.name] = resource
        return True

    def _tell(self, changed: tuple[ResourceKey, ...]) -> None:
        for listener in tuple(self._listeners):
            listener(changed)
