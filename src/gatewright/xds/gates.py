"""Make before break: what a resource must wait for, and for how long at most. Pure.

Envoy answers about clusters only when none of them is warming, so one cluster whose name does not resolve withholds the
answers about all the others. Routes therefore wait for the answer about their own clusters for a bounded time only; and
when the router can say which clusters are warming, only the routes of those wait.
"""

from collections.abc import Mapping

import msgspec

from gatewright.envoy.resource import CLUSTER, LISTENER
from gatewright.xds.keys import USERS_OF_CLUSTERS
from gatewright.xds.limits import Limits
from gatewright.xds.needs import warms_up
from gatewright.xds.snapshot import Snapshot
from gatewright.xds.subscription import Subscription


class Shut(msgspec.Struct, frozen=True):
    """The gate is shut: for now (`why` is None), or until `cluster` is mended."""

    why: str | None = None
    cluster: str = ""


_NOT_YET = Shut()


class Gates:
    """Gates of one stream. `begin` before each round of `check`; then `wake_at` is when to look again, in seconds."""

    def __init__(self, snapshot: Snapshot, subs: Mapping[str, Subscription], limits: Limits) -> None:
        self._snapshot = snapshot
        self._subs = subs
        self._clusters = subs[CLUSTER]
        self._limits = limits
        self.warming: frozenset[str] | None = None
        self.wake_at: float | None = None
        self._overdue = False

    def begin(self, now: float) -> None:
        """Start a round."""
        oldest = self._clusters.oldest_flight()
        self._overdue = oldest is not None and now - oldest.sent_at >= self._limits.patience_s
        self.wake_at = None
        if oldest is None:
            self.warming = None

    def check(self, sub: Subscription, name: str, now: float) -> Shut | None:
        """None: go ahead."""
        if sub.type_url in USERS_OF_CLUSTERS:
            return self._routes(sub, name, now)
        if sub.type_url == CLUSTER:
            return self._first_clusters(sub, name, now)
        if sub.type_url == LISTENER and sub.answered and (self._clusters.dirty or self._clusters.flights):
            return self._wait(sub, name, self._limits.warm_wait_s, now)
        return None

    def _first_clusters(self, sub: Subscription, name: str, now: float) -> Shut | None:
        """Envoy asks for listeners only when all clusters of the first answer are warm: send the others after that.

        Otherwise one name that does not resolve keeps a starting router closed for more than a minute (measured).
        """
        if sub.claimed or self._subs[LISTENER].started:
            return None
        resource = self._snapshot.get((CLUSTER, name))
        if resource is None or not warms_up(resource):
            return None
        return self._wait(sub, name, self._limits.warm_wait_s, now)

    def _routes(self, sub: Subscription, name: str, now: float) -> Shut | None:
        patience = 0.0
        first = not sub.answered
        for cluster in self._snapshot.needs((sub.type_url, name)):
            wait, why = self._cluster(cluster)
            if why is not None:
                return Shut(f"its cluster {cluster} was refused: {why}", cluster)
            patience = max(patience, min(wait, self._limits.warm_wait_s) if first else wait)
        if not patience:
            sub.waiting_since.pop(name, None)
            return None
        return self._wait(sub, name, patience, now)

    def _cluster(self, name: str) -> tuple[float, str | None]:
        """Seconds that a route may wait for this cluster (0: it is there), or why it will not come."""
        clusters = self._clusters
        if not clusters.started or name in clusters.held:
            return 0.0, None
        resource = self._snapshot.get((CLUSTER, name))
        refusal = clusters.refused.get(name)
        if resource is None:
            # A relay takes a refused cluster out of its snapshot; one that was never there belongs to the bootstrap.
            return 0.0, refusal.reason if refusal is not None else None
        if refusal is not None and refusal.version == resource.version:
            return 0.0, refusal.reason
        if name not in clusters.flying or not self._overdue:
            return self._limits.warm_wait_s, None
        if self.warming is not None:
            return (self._limits.known_warm_wait_s if name in self.warming else self._limits.warm_wait_s), None
        return (self._limits.warm_wait_s if warms_up(resource) else self._limits.presume_s), None

    def _wait(self, sub: Subscription, name: str, seconds: float, now: float) -> Shut | None:
        since = sub.waiting_since.setdefault(name, now)
        until = since + seconds
        if now >= until:
            return None
        oldest = self._clusters.oldest_flight()
        if oldest is not None and not self._overdue:
            until = min(until, oldest.sent_at + self._limits.patience_s)
        self.wake_at = until if self.wake_at is None else min(self.wake_at, until)
        return _NOT_YET
