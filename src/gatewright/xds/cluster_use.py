"""Which clusters a router may be sending traffic to: those must not be taken away. Pure bookkeeping of one stream."""

from collections import Counter

from gatewright.xds.keys import ResourceKey


class ClusterUse:
    """Counts the needs of every version a router holds, may hold, or is being sent."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._held: dict[ResourceKey, frozenset[str]] = {}
        self._perhaps: dict[ResourceKey, dict[str, frozenset[str]]] = {}
        self._unknown: set[ResourceKey] = set()

    def claim(self, key: ResourceKey) -> None:
        """The router brought a version along whose needs are not known (yet): no cluster is free meanwhile."""
        self._unknown.add(key)

    def sending(self, needs: frozenset[str]) -> None:
        """A version is on its way."""
        self._counts.update(needs)

    def withdrawn(self, needs: frozenset[str]) -> None:
        """That version is not in use: refused, or counted as held from now on."""
        for name in needs:
            left = self._counts[name] - 1
            if left > 0:
                self._counts[name] = left
            else:
                del self._counts[name]

    def holds(self, key: ResourceKey, needs: frozenset[str]) -> None:
        """The router uses this version, and no earlier one."""
        self._unknown.discard(key)
        self._counts.update(needs)
        self.withdrawn(self._held.pop(key, frozenset()))
        for earlier in self._perhaps.pop(key, {}).values():
            self.withdrawn(earlier)
        if needs:
            self._held[key] = needs

    def may_hold(self, key: ResourceKey, version: str, needs: frozenset[str]) -> None:
        """The router uses this version or the one before; `holds`, `dropped` or `refuted` decides later."""
        versions = self._perhaps.setdefault(key, {})
        if version not in versions:
            versions[version] = needs
            self._counts.update(needs)

    def refuted(self, key: ResourceKey, version: str) -> None:
        """It does not use that version."""
        versions = self._perhaps.get(key, {})
        self.withdrawn(versions.pop(version, frozenset()))
        if not versions:
            self._perhaps.pop(key, None)

    def dropped(self, key: ResourceKey) -> None:
        """The router has no version any more."""
        self.holds(key, frozenset())

    def free(self, cluster: str) -> bool:
        """Whether the router certainly sends no traffic to this cluster."""
        return not self._unknown and cluster not in self._counts
