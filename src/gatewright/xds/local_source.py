"""Feeds a relay from a controller in the same process: the same objects, no gRPC in between."""

from collections.abc import Callable

from gatewright.xds.delivery import Observer
from gatewright.xds.keys import ResourceKey, key_of
from gatewright.xds.outcomes import Node, Report
from gatewright.xds.relay import Relay
from gatewright.xds.snapshot import Snapshot


class LocalSource:
    """Connects a relay to a controller's snapshot; `observer` (the controller's `Delivery`) hears what Envoy says."""

    def __init__(self, snapshot: Snapshot, observer: Observer) -> None:
        self._snapshot = snapshot
        self._observer = observer
        self._router = ""
        self._relay: Relay | None = None
        self._synced = False
        self._cancel: Callable[[], None] | None = None

    def start(self, relay: Relay, node: Node) -> None:
        """Begin to feed; the relay serves what it has from disk until the snapshot is loaded."""
        self._relay = relay
        self._router = node.id
        self._observer.connected(self._router, node, "in-process")
        self._report(relay.subscribe(self._report))
        self._cancel = self._snapshot.subscribe(self._changed)
        self._changed(())

    async def stop(self) -> None:
        """End the connection."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None
        if self._relay is not None:
            self._relay.unsubscribe(self._report)
            self._relay = None
            self._observer.disconnected(self._router)

    @property
    def connected(self) -> bool:
        """Whether the controller has given everything it has."""
        return self._synced

    @property
    def last_error(self) -> str | None:
        """Never any: there is no network in between."""
        return None

    def _changed(self, keys: tuple[ResourceKey, ...]) -> None:
        if self._relay is None or not self._snapshot.loaded:
            return
        if not self._synced:
            self._synced = True
            current = list(self._snapshot)
            known = {key_of(resource) for resource in current}
            stale = [key for resource in self._relay.snapshot if (key := key_of(resource)) not in known]
            self._relay.absorb(current, stale)
            self._relay.synced()
            return
        found = {key: self._snapshot.get(key) for key in keys}
        put = [resource for resource in found.values() if resource is not None]
        self._observer.sent(self._router, keys)
        self._relay.absorb(put, [key for key, resource in found.items() if resource is None])

    def _report(self, report: Report) -> None:
        self._observer.reported(self._router, report)
