"""What a router's answers mean for single resources: accepted, refused, or to be tried apart. Pure; part of a stream.

A refusal of a response with several resources does not say which of them Envoy took. Where its text can be trusted to
name the bad ones, that decides; else the suspects are sent again in halves until each refused response holds one.
"""

from collections.abc import Mapping

from gatewright.envoy.resource import CLUSTER, LISTENER
from gatewright.xds.blame import named, transient
from gatewright.xds.cluster_use import ClusterUse
from gatewright.xds.gates import Shut
from gatewright.xds.keys import ResourceKey
from gatewright.xds.limits import Limits
from gatewright.xds.outcomes import MAX_REASON, Accepted, Outcome, Refused
from gatewright.xds.subscription import Flight, Refusal, Subscription


class Answers:
    """Bookkeeping of one stream. `outcomes` collects what was learnt; `retries` are refusals that may pass."""

    def __init__(self, subs: Mapping[str, Subscription], use: ClusterUse, limits: Limits, *, relay: bool) -> None:
        self._subs = subs
        self._use = use
        self._limits = limits
        self._relay = relay
        self.outcomes: list[Outcome] = []
        self.retries: set[ResourceKey] = set()
        self.listeners_changed_at = float("-inf")

    def blocked(self, sub: Subscription, name: str, version: str, shut: Shut) -> None:
        """A resource is not even sent, because something it needs was refused."""
        sub.blocked[name] = None
        sub.waiting_since.pop(name, None)
        reason = (shut.why or "")[:MAX_REASON]
        self.outcomes.append(Refused((sub.type_url, name), version, reason, (CLUSTER, shut.cluster)))

    def still_refused(self, sub: Subscription, name: str, refusal: Refusal) -> None:
        """The snapshot holds a version that the router has refused before: say so again, do not send it again."""
        if not self._relay:
            self.outcomes.append(Refused((sub.type_url, name), refusal.version, refusal.reason))

    def acked(self, sub: Subscription, flight: Flight, now: float) -> None:
        """The router took all of a response."""
        for name, (version, needs) in flight.puts.items():
            self._accept(sub, name, version, needs)
        self._removed(sub, flight)
        if sub.type_url == LISTENER and (flight.puts or flight.removals):
            self.listeners_changed_at = now

    def nacked(self, sub: Subscription, flight: Flight, text: str, now: float) -> None:
        """A response can be refused although Envoy applied the good resources in it: find the bad ones."""
        self._removed(sub, flight)
        suspects = {name: version for name, (version, _) in flight.puts.items()}
        blamed = list(suspects) if len(suspects) == 1 else named(sub.type_url, text, suspects)
        if blamed:
            for name, (version, needs) in flight.puts.items():
                if name in blamed:
                    self._refuse(sub, name, version, text, now)
                    self._use.withdrawn(needs)
                else:
                    self._accept(sub, name, version, needs)
            return
        for name, (version, needs) in flight.puts.items():
            sub.perhaps.setdefault(name, set()).add(version)
            self._use.may_hold((sub.type_url, name), version, needs)
            self._use.withdrawn(needs)
        names = list(suspects.items())
        half = len(names) // 2
        sub.suspects.extend(dict(part) for part in (names[:half], names[half:]) if part)

    def _accept(self, sub: Subscription, name: str, version: str, needs: frozenset[str]) -> None:
        key = (sub.type_url, name)
        if sub.visible(name):
            sub.held[name] = version
            self._use.holds(key, needs)
        self._use.withdrawn(needs)
        sub.perhaps.pop(name, None)
        refusal = sub.refused.get(name)
        if refusal is not None and refusal.version == version:
            del sub.refused[name]
            self.retries.discard(key)
        if not self._relay:
            self.outcomes.append(Accepted(key, version))

    def believe(self, name: str, version: str) -> None:
        """A cluster is in use although its answer is withheld; the answer will still come, and counts."""
        clusters = self._subs[CLUSTER]
        if clusters.held.get(name) != version:
            clusters.held[name] = version
            self.outcomes.append(Accepted((CLUSTER, name), version))

    def already_held(self, sub: Subscription, name: str, version: str, needs: frozenset[str]) -> None:
        """The router has it: from an earlier connection, or because the snapshot went back to it."""
        key = (sub.type_url, name)
        sub.waiting_since.pop(name, None)
        self._use.holds(key, needs)
        if not self._relay:
            self.outcomes.append(Accepted(key, version))

    def _refuse(self, sub: Subscription, name: str, version: str, text: str, now: float) -> None:
        key = (sub.type_url, name)
        before = sub.refused.get(name)
        retry_at, after = None, 0.0
        if transient(text):
            again = before is not None and before.version == version and before.retry_after > 0
            after = min(before.retry_after * 2, self._limits.retry_max_s) if again and before else 0.0
            after = after or self._limits.retry_first_s
            retry_at = now + after
            self.retries.add(key)
        if sub.held.get(name) == version:
            del sub.held[name]
        self._use.refuted(key, version)
        possible = sub.perhaps.get(name, set())
        possible.discard(version)
        if not possible:
            sub.perhaps.pop(name, None)
        sub.refused[name] = Refusal(version, text[:MAX_REASON], retry_at, after)
        self.outcomes.append(Refused(key, version, text[:MAX_REASON]))

    def _removed(self, sub: Subscription, flight: Flight) -> None:
        for name in flight.removals:
            key = (sub.type_url, name)
            sub.held.pop(name, None)
            sub.perhaps.pop(name, None)
            sub.refused.pop(name, None)
            self.retries.discard(key)
            self._use.dropped(key)
            if not self._relay:
                self.outcomes.append(Accepted(key, None))
