"""The router's own copy of the configuration: fed by a controller, served to the Envoy beside it, kept on disk.

Towards Envoy it offers only what has a chance: a version that Envoy refused is put aside and the last good one offered
again, so that an Envoy that starts anew gets that at once. Belongs to one event loop; the sources that feed it are
`local_source.py` and `controller_link.py`.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from gatewright.envoy.resource import CLUSTER, Resource
from gatewright.observability.logging import get_logger
from gatewright.xds.blame import transient
from gatewright.xds.cluster_use import ClusterUse
from gatewright.xds.disk import LastGood
from gatewright.xds.keys import USERS_OF_CLUSTERS, WILDCARD_TYPES, ResourceKey, key_of
from gatewright.xds.limits import Limits
from gatewright.xds.outcomes import Accepted, Node, Outcome, Refused, Report
from gatewright.xds.probation import Probation
from gatewright.xds.server import AdsServer, ClusterProbe
from gatewright.xds.snapshot import Snapshot

ReportSink: TypeAlias = Callable[[Report], None]

_log = get_logger(__name__)


class Shelved(msgspec.Struct, frozen=True):
    """A version that Envoy refused, kept until it is replaced or what it needs has changed."""

    resource: Resource
    refusal: Refused
    needs: frozenset[str]


class Relay:
    """Configuration of one router."""

    def __init__(self, last_good: LastGood, *, limits: Limits | None = None, probe: ClusterProbe | None = None) -> None:
        self.snapshot = Snapshot(hold=True)
        self.on_outcomes: Callable[[Sequence[Outcome]], None] | None = None
        self._last_good = last_good
        self._server = AdsServer(self.snapshot, self, limits=limits, probe=probe)
        self._sinks: list[ReportSink] = []
        self._envoy: str | None = None
        self._has: dict[ResourceKey, str] = {}
        self._proved: dict[ResourceKey, str] = {}
        self._good: dict[ResourceKey, Resource] = {}
        self._shelf: dict[ResourceKey, Shelved] = {}
        self._doomed: set[str] = set()
        self._use = ClusterUse()
        self._probation = Probation()

    async def start(self, socket: Path) -> None:
        """Load what an earlier run left, and serve Envoy on a Unix socket."""
        resources = await self._last_good.load()
        if resources:
            for resource in resources:
                self._proved[key_of(resource)] = resource.version
            self._apply(resources, ())
            self.snapshot.release()
        self._last_good.start(self.good)
        await self._server.start_local(socket)

    async def stop(self) -> None:
        """End the stream to Envoy and write what is not on disk yet."""
        try:
            await self._server.stop()
        finally:
            await self._last_good.stop()

    # -- what sources call -----------------------------------------------------------------------------------------

    def absorb(self, put: Iterable[Resource], remove: Iterable[ResourceKey]) -> None:
        """News from the controller."""
        fresh: list[Resource] = []
        for resource in put:
            key = key_of(resource)
            shelved = self._shelf.get(key)
            if shelved is not None and shelved.resource.version == resource.version:
                continue
            self._shelf.pop(key, None)
            if self._probation.replaced(resource):
                continue
            if key[0] == CLUSTER:
                self._doomed.discard(key[1])
            self._keep_good(key, resource)
            fresh.append(resource)
        retried = self._unshelve({resource.name for resource in fresh if resource.type_url == CLUSTER})
        gone = []
        for key in remove:
            self._shelf.pop(key, None)
            self._probation.removed(key)
            if key[0] == CLUSTER and not self._use.free(key[1]):
                self._doomed.add(key[1])
            else:
                gone.append(key)
        self._apply([*fresh, *retried], gone)
        self._next_trial()

    def synced(self) -> None:
        """The controller has sent everything it has."""
        if not self.snapshot.loaded:
            self.snapshot.release()
        self._last_good.changed()

    def versions(self, type_url: str) -> dict[str, str]:
        """What was received last, by name: what a controller need not send again."""
        held = {name: resource.version for name, resource in self.snapshot.of_type(type_url).items()}
        if type_url == CLUSTER:
            for name in self._doomed:
                held.pop(name, None)
        held.update(self._probation.versions(type_url))
        held.update({key[1]: shelved.resource.version for key, shelved in self._shelf.items() if key[0] == type_url})
        return held

    def subscribe(self, sink: ReportSink) -> Report:
        """Send reports from now on to `sink`; returns the first one, which says all that is known."""
        self._sinks.append(sink)
        return self.full_report()

    def unsubscribe(self, sink: ReportSink) -> None:
        """Send it nothing more."""
        if sink in self._sinks:
            self._sinks.remove(sink)

    def full_report(self) -> Report:
        """Everything that the present Envoy has accepted, and everything refused."""
        accepted: list[Outcome] = [Accepted(key, version) for key, version in self._has.items()]
        refused = [shelved.refusal for shelved in self._shelf.values()]
        return Report(envoy=self._envoy is not None, fresh=True, outcomes=(*accepted, *refused))

    # -- what the local server says (Observer) ---------------------------------------------------------------------

    def connected(self, router: str, node: Node, peer: str) -> None:  # noqa: ARG002 - the server's words
        """Envoy has connected, with nothing or with what it still holds; the outcomes will tell."""
        self._envoy = router
        self._has.clear()
        self._tell(self.full_report())
        self._next_trial()

    def disconnected(self, router: str) -> None:
        """Envoy has gone."""
        if router == self._envoy:
            self._envoy = None
            self._has.clear()
            self._tell(Report(envoy=False, fresh=True))

    def sent(self, router: str, keys: Iterable[ResourceKey]) -> None:
        """The controller counts from when it gave them to the relay."""

    def outcomes(self, router: str, outcomes: Sequence[Outcome]) -> None:
        """Envoy accepted or refused resources."""
        if router != self._envoy:
            return
        for outcome in outcomes:
            self._probation.heard(outcome.key)
            if isinstance(outcome, Refused):
                self._refused(outcome)
            else:
                self._accepted(outcome)
        self._remove_doomed()
        self._next_trial()
        self._last_good.changed()
        self._tell(Report(envoy=True, outcomes=tuple(outcomes)))
        if self.on_outcomes is not None:
            self.on_outcomes(outcomes)

    def envoy_crashed(self, reason: str) -> None:
        """Envoy has ended by itself: nothing that it had not accepted yet is offered to the next one unwatched."""
        culprit = self._probation.convicted()
        if culprit is not None:
            words = f"Envoy crashed when it was given this version: {reason}"
            refused = Refused(key_of(culprit), culprit.version, words)
            self._refused(refused)
            self._tell(Report(envoy=self.envoy_connected, outcomes=(refused,)))
            return
        unproved = [r for r in self.snapshot if self._proved.get(key_of(r)) != r.version]
        # Clusters have no proof while answers about them are withheld; only when nothing else is left they are suspect.
        suspects = [r for r in unproved if r.type_url != CLUSTER and r.type_url in WILDCARD_TYPES] or [
            r for r in unproved if r.type_url == CLUSTER
        ]
        if not suspects:
            return
        _log.warning("Envoy crashed; what it had not accepted yet is tried one by one", resources=len(suspects))
        good = {key: self._good.pop(key) for key in map(key_of, suspects) if key in self._good}
        self._probation.begin(suspects)
        self._apply(list(good.values()), [key for key in map(key_of, suspects) if key not in good])

    def reported(self, router: str, report: Report) -> None:
        """No relay connects to a relay."""

    @property
    def envoy_connected(self) -> bool:
        """Whether an Envoy is connected."""
        return self._envoy is not None

    def accepted_version(self, key: ResourceKey) -> str | None:
        """The version that the present Envoy has accepted."""
        return self._has.get(key)

    def refusals(self) -> list[Refused]:
        """What is put aside."""
        return [shelved.refusal for shelved in self._shelf.values()]

    def good(self) -> list[Resource]:
        """What a router should start with: only versions that have worked.

        Clusters are taken along without proof: their answers may be withheld, and one without use does no harm.
        """
        good: list[Resource] = []
        for resource in self.snapshot:
            key = key_of(resource)
            proved = self._proved.get(key) == resource.version
            if proved or key[0] == CLUSTER or key[0] not in WILDCARD_TYPES:
                good.append(resource)
            elif key in self._good:
                good.append(self._good[key])
        return good

    # -- inside ----------------------------------------------------------------------------------------------------

    def _accepted(self, outcome: Accepted) -> None:
        key, version = outcome.key, outcome.version
        if version is None:
            self._has.pop(key, None)
            self._proved.pop(key, None)
            self._good.pop(key, None)
            return
        self._has[key] = version
        self._proved[key] = version
        current = self.snapshot.get(key)
        if current is not None and current.version == version:
            self._good.pop(key, None)
            if key[0] in USERS_OF_CLUSTERS:
                self._use.holds(key, self.snapshot.needs(key))

    def _refused(self, outcome: Refused) -> None:
        current = self.snapshot.get(outcome.key)
        if current is None or current.version != outcome.version or transient(outcome.reason):
            return
        self._shelf[outcome.key] = Shelved(current, outcome, self.snapshot.needs(outcome.key))
        good = self._good.pop(outcome.key, None)
        if good is not None:
            self._apply([good], ())
        else:
            self._apply((), [outcome.key])

    def _next_trial(self) -> None:
        """Offer the next version on probation when Envoy has taken everything else."""
        if not self._probation or self._envoy is None or not self._caught_up():
            return
        resource = self._probation.next()
        if resource is not None:
            self._keep_good(key_of(resource), resource)
            self._apply([resource], [])

    def _caught_up(self) -> bool:
        offered = (r for t in WILDCARD_TYPES - {CLUSTER} for r in self.snapshot.of_type(t).values())
        return all(self._has.get(key_of(resource)) == resource.version for resource in offered)

    def _keep_good(self, key: ResourceKey, newer: Resource) -> None:
        current = self.snapshot.get(key)
        if current is not None and current.version != newer.version and self._proved.get(key) == current.version:
            self._good[key] = current

    def _unshelve(self, clusters: set[str]) -> list[Resource]:
        """Versions that were refused because of clusters that are different now: they get another chance."""
        again = [shelved.resource for shelved in self._shelf.values() if shelved.needs & clusters]
        for resource in again:
            del self._shelf[key_of(resource)]
            self._keep_good(key_of(resource), resource)
        return again

    def _apply(self, put: Sequence[Resource], remove: Sequence[ResourceKey]) -> None:
        self.snapshot.apply(put, remove)
        for key in map(key_of, put):
            if key[0] in USERS_OF_CLUSTERS:
                needs, resource = self.snapshot.needs(key), self.snapshot.get(key)
                if key in self._good and resource is not None:
                    self._use.may_hold(key, resource.version, needs)
                else:
                    self._use.holds(key, needs)
        for key in remove:
            self._good.pop(key, None)
            self._proved.pop(key, None)
            self._use.dropped(key)
        self._remove_doomed()

    def _remove_doomed(self) -> None:
        free = [name for name in self._doomed if self._use.free(name)]
        if free:
            self._doomed.difference_update(free)
            self.snapshot.apply((), [(CLUSTER, name) for name in free])

    def _tell(self, report: Report) -> None:
        for sink in tuple(self._sinks):
            sink(report)
