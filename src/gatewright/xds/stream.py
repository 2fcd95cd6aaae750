"""Delta ADS with one router as a machine without I/O: requests, changes and the time go in, responses come out.

The shell (`server.py`) feeds `receive` and `changed`, then asks `next_response` until there is none, then waits for
news or for `wake_at`. Responses are made when they are asked for, so a router that reads slowly only makes the set of
names grow that it lacks, and several changes of one resource become one.

An Envoy's answer to a response is its word on the resources. A relay answers at once and reports later what its Envoy
made of each resource; towards it nothing is held back, because it does the same again towards its Envoy.
"""

import secrets
from collections.abc import Iterable
from typing import Final

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from gatewright.envoy.resource import CLUSTER, LISTENER, ROUTES, SCOPE, Resource
from gatewright.xds.answers import Answers
from gatewright.xds.cluster_use import ClusterUse
from gatewright.xds.gates import Gates
from gatewright.xds.keys import (
    PUT_ORDER,
    REMOVAL_ORDER,
    USERS_OF_CLUSTERS,
    WILDCARD_TYPES,
    ResourceKey,
)
from gatewright.xds.limits import Limits
from gatewright.xds.needs import warms_up
from gatewright.xds.outcomes import ClusterStates, Outcome, Report
from gatewright.xds.reports import REPORT, SYNCED, read_report
from gatewright.xds.salt import salted
from gatewright.xds.snapshot import Snapshot
from gatewright.xds.subscription import ANY, Flight, Refusal, Subscription
from gatewright.xds.warm_up import WarmUp

_NO_NEEDS: Final[frozenset[str]] = frozenset()


class Stream:
    """One connection. `now` is any steadily growing clock in seconds, the same for all calls."""

    def __init__(self, snapshot: Snapshot, *, now: float, relay: bool = False, limits: Limits | None = None) -> None:
        self._snapshot = snapshot
        self._relay = relay
        self._limits = limits or Limits()
        self._started_at = now
        self._subs = {type_url: Subscription(type_url) for type_url in PUT_ORDER}
        self._use = ClusterUse()
        self._answers = Answers(self._subs, self._use, self._limits, relay=relay)
        self._gates = Gates(snapshot, self._subs, self._limits)
        self._warm_up = WarmUp(snapshot, self._subs)
        self._nonces = 0
        self._salt = secrets.token_hex(4)
        self._reports: list[Report] = []
        self._synced = False
        self.wake_at: float | None = None

    # -- what comes in ---------------------------------------------------------------------------------------------

    def receive(self, request: discovery_pb2.DeltaDiscoveryRequest, now: float) -> None:
        """A request of the router: subscription, answer to a response, or report of a relay."""
        if request.type_url == REPORT:
            if self._relay and (report := read_report(request)) is not None:
                self._reports.append(report)
            return
        sub = self._subs.get(request.type_url)
        if sub is None:
            return
        if not sub.started:
            self._start(sub, request)
        elif request.resource_names_subscribe or request.resource_names_unsubscribe:
            self._resubscribe(sub, request)
        if request.response_nonce and (flight := sub.land(request.response_nonce)) is not None:
            if request.HasField("error_detail"):
                self._answers.nacked(sub, flight, request.error_detail.message or "refused without a reason", now)
            else:
                self._answers.acked(sub, flight, now)
            if sub.type_url == CLUSTER:
                self._look_again_at_blocked()
            elif sub.type_url == LISTENER:
                self._warm_up.landed(flight)

    def changed(self, keys: Iterable[ResourceKey]) -> None:
        """These keys of the snapshot are different now."""
        for type_url, name in keys:
            sub = self._subs.get(type_url)
            if sub is None or not sub.visible(name):
                continue
            sub.dirty[name] = None
            if type_url == CLUSTER:
                self._look_again_at_blocked()

    def observed(self, states: ClusterStates) -> None:
        """What the router's Envoy says of clusters otherwise than in its answers, which it withholds."""
        self._gates.warming = frozenset(states.warming)
        for flight in tuple(self._subs[CLUSTER].flights.values()):
            for name, (version, _) in flight.puts.items():
                if states.active.get(name) == version:
                    self._answers.believe(name, version)

    def curious_about(self, now: float) -> list[str]:
        """Clusters whose answers have been withheld for so long that `observed` would help."""
        clusters = self._subs[CLUSTER]
        oldest = clusters.oldest_flight()
        if self._relay or oldest is None:
            return []
        if not self._reached(oldest.sent_at + self._limits.patience_s, now):
            return []
        names = (name for flight in clusters.flights.values() for name in flight.puts if name not in clusters.held)
        return list(dict.fromkeys(names))[: self._limits.curiosity]

    def outcomes(self) -> list[Outcome]:
        """What the router made of resources since the last call, in the order it happened."""
        outcomes, self._answers.outcomes = self._answers.outcomes, []
        return self._warm_up.sift(outcomes)

    def reports(self) -> list[Report]:
        """What a relay has reported since the last call."""
        reports, self._reports = self._reports, []
        return reports

    # -- what goes out ---------------------------------------------------------------------------------------------

    def next_response(self, now: float) -> discovery_pb2.DeltaDiscoveryResponse | None:
        """The next thing to send, None when there is nothing before news comes or `wake_at` is reached."""
        self.wake_at = None
        if not self._snapshot.loaded:
            return None
        self._gates.begin(now)
        self._presume(now)
        self._look_again_at_retries(now)
        for type_url in PUT_ORDER:
            sub = self._subs[type_url]
            response = self._puts(sub, now)
            if response is not None:
                return response
            if self._relay and sub.dirty:
                return None
        for type_url in REMOVAL_ORDER:
            response = self._removals(self._subs[type_url], now)
            if response is not None:
                return response
        self._wake(self._gates.wake_at)
        return self._sync_mark()

    def _puts(self, sub: Subscription, now: float) -> discovery_pb2.DeltaDiscoveryResponse | None:
        if sub.type_url == SCOPE and not self._may_send_scopes(now):
            return None
        if not sub.started or not (sub.dirty or sub.suspects or not sub.answered) or not self._window(sub, now):
            return None
        chosen = self._next_suspects(sub)
        salt = bool(chosen) or sub.claimed
        if not chosen:
            chosen, held_back = self._choose(sub, now)
            # The listener opens with its first scopes: better a moment later than with APIs missing.
            if held_back and sub.type_url == SCOPE and not sub.answered:
                return None
        if not chosen and (sub.answered or (sub.leaving and not sub.wildcard)):
            return None
        puts: dict[str, tuple[str, frozenset[str]]] = {}
        for resource in chosen:
            needs = self._needs(sub, resource.name)
            self._use.sending(needs)
            puts[resource.name] = (resource.version, needs)
        return self._launch(sub, Flight(self._nonce(), now, puts), chosen, salt=salt)

    def _may_send_scopes(self, now: float) -> bool:
        since = self._warm_up.in_air_since
        if since is not None and not self._reached(since + self._limits.warm_wait_s, now):
            return False
        return self._warm_up.may_send_scopes()

    def _choose(self, sub: Subscription, now: float) -> tuple[list[Resource], bool]:
        """Resources for the next response, and whether others must wait for something first."""
        first = sub.type_url == SCOPE and not sub.answered
        budget = self._limits.first_scopes_bytes if first else self._limits.response_bytes
        chosen: list[Resource] = []
        held_back = False
        for name in tuple(sub.dirty):
            resource = self._snapshot.get((sub.type_url, name))
            verdict = self._judge(sub, name, resource, now)
            if verdict is None:
                held_back = True
            elif not verdict or resource is None:
                del sub.dirty[name]
            else:
                budget -= len(resource.body)
                if chosen and budget < 0:
                    break
                chosen.append(resource)
        return chosen, held_back

    def _judge(self, sub: Subscription, name: str, resource: Resource | None, now: float) -> bool | None:
        """True: send it. False: there is nothing to do. None: not yet."""
        if resource is None or not sub.visible(name):
            self._leave(sub, name)
            return False
        sub.leaving.pop(name, None)
        if name not in sub.flying and name not in sub.perhaps and sub.held.get(name) == resource.version:
            self._answers.already_held(sub, name, resource.version, self._needs(sub, name))
            return False
        if sub.flying_version(name) == resource.version or _suspected(sub, name, resource.version):
            return False
        refusal = sub.refused.get(name)
        if refusal is not None and refusal.version == resource.version and not _due(refusal, now):
            self._answers.still_refused(sub, name, refusal)
            return False
        if name in sub.flying and not self._overtakes(sub, name, now):
            return None
        return self._relay or self._passes(sub, name, resource, now)

    def _passes(self, sub: Subscription, name: str, resource: Resource, now: float) -> bool | None:
        """Make before break: whether what the resource points at is there."""
        gate = self._gates.check(sub, name, now)
        if gate is None:
            return True
        if gate.why is None:
            return None
        self._answers.blocked(sub, name, resource.version, gate)
        return False

    def _next_suspects(self, sub: Subscription) -> list[Resource]:
        """The next group to be tried apart from others; those that have changed meanwhile fall out."""
        while sub.suspects:
            group = sub.suspects.popleft()
            chosen = [
                resource
                for name, version in group.items()
                if (resource := self._snapshot.get((sub.type_url, name))) is not None
                and resource.version == version
                and sub.visible(name)
                and name not in sub.flying
            ]
            # Whatever falls out is judged like any other change.
            sub.touch(group.keys() - {resource.name for resource in chosen})
            if chosen:
                return chosen
        return []

    def _removals(self, sub: Subscription, now: float) -> discovery_pb2.DeltaDiscoveryResponse | None:
        if (
            not sub.leaving
            or (sub.wildcard and not sub.answered)
            or not self._removing(sub, now)
            or not self._window(sub, now)
        ):
            return None
        names = [name for name in sub.leaving if name not in sub.flying and self._removable(sub, name)]
        del names[self._limits.removals :]
        if not names:
            return None
        return self._launch(sub, Flight(self._nonce(), now, {}, tuple(names)), [])

    def _removing(self, sub: Subscription, now: float) -> bool:
        """Whether removals of this type may go out at all."""
        if self._relay:
            return True
        if sub.type_url == CLUSTER and self._subs[CLUSTER].claimed:
            told = self._subs[LISTENER].started and (self._subs[SCOPE].started or self._subs[ROUTES].started)
            return told or self._reached(self._started_at + self._limits.claims_grace_s, now)
        if sub.type_url == SCOPE:
            listeners = self._subs[LISTENER]
            if listeners.dirty or listeners.flights:
                return False
            return self._reached(self._answers.listeners_changed_at + self._limits.settling_s, now)
        return True

    def _removable(self, sub: Subscription, name: str) -> bool:
        return self._relay or sub.type_url != CLUSTER or self._use.free(name)

    def _window(self, sub: Subscription, now: float) -> bool:
        """Whether another response of this type may go out before earlier ones are answered."""
        if not sub.flights:
            return True
        if len(sub.flights) >= self._limits.outstanding:
            return False
        newest = next(reversed(sub.flights.values()))
        return self._relay or self._reached(newest.sent_at + self._limits.patience_s, now)

    def _overtakes(self, sub: Subscription, name: str, now: float) -> bool:
        """Whether a resource may be sent although its last version has no answer yet."""
        return self._reached(sub.flights[sub.flying[name]].sent_at + self._limits.patience_s, now)

    def _launch(
        self, sub: Subscription, flight: Flight, resources: list[Resource], *, salt: bool = False
    ) -> discovery_pb2.DeltaDiscoveryResponse:
        sub.launch(flight)
        if sub.type_url == LISTENER and not self._relay:
            self._warm_up.launched(flight)
        grain = f"{self._salt}.{flight.nonce}" if salt and not self._relay else ""
        return discovery_pb2.DeltaDiscoveryResponse(
            type_url=sub.type_url,
            nonce=flight.nonce,
            removed_resources=flight.removals,
            resources=[
                discovery_pb2.Resource(
                    name=resource.name,
                    version=resource.version,
                    resource=any_pb2.Any(type_url=resource.type_url, value=salted(resource, grain)),
                )
                for resource in resources
            ],
        )

    def _sync_mark(self) -> discovery_pb2.DeltaDiscoveryResponse | None:
        """Tells a relay once that it has been sent everything there is."""
        if not self._relay or self._synced or not all(sub.answered for sub in self._subs.values()):
            return None
        self._synced = True
        return discovery_pb2.DeltaDiscoveryResponse(type_url=SYNCED, nonce=self._nonce())

    # -- subscriptions ---------------------------------------------------------------------------------------------

    def _start(self, sub: Subscription, request: discovery_pb2.DeltaDiscoveryRequest) -> None:
        sub.started = True
        names = set(request.resource_names_subscribe)
        sub.wildcard = ANY in names or (not names and sub.type_url in WILDCARD_TYPES)
        sub.names = names - {ANY}
        sub.asked = set(sub.names)
        sub.held = dict(request.initial_resource_versions)
        sub.claimed = bool(sub.held)
        if sub.type_url in USERS_OF_CLUSTERS:
            for name in sub.held:
                self._use.claim((sub.type_url, name))
        if sub.wildcard:
            sub.touch(self._snapshot.of_type(sub.type_url))
        sub.touch(sub.names)
        sub.touch(sub.held)

    def _resubscribe(self, sub: Subscription, request: discovery_pb2.DeltaDiscoveryRequest) -> None:
        for name in request.resource_names_unsubscribe:
            if name == ANY:
                sub.wildcard = False
            else:
                sub.forget(name)
                self._use.dropped((sub.type_url, name))
        for name in request.resource_names_subscribe:
            if name == ANY:
                sub.wildcard = True
                sub.touch(self._snapshot.of_type(sub.type_url))
            else:
                # Whoever asks again wants an answer, even to what was sent before.
                sub.names.add(name)
                sub.held.pop(name, None)
                sub.asked.add(name)
                sub.dirty[name] = None

    def _presume(self, now: float) -> None:
        """Without other news, clusters that need nothing to warm up are there after a while."""
        clusters = self._subs[CLUSTER]
        oldest = clusters.oldest_flight()
        if self._relay or oldest is None or not self._reached(oldest.sent_at + self._limits.presume_s, now):
            return
        for flight in clusters.flights.values():
            for name, (version, _) in flight.puts.items():
                if now < flight.sent_at + self._limits.presume_s or name in clusters.held:
                    continue
                resource = self._snapshot.get((CLUSTER, name))
                if resource is not None and resource.version == version and not warms_up(resource):
                    self._answers.believe(name, version)

    # -- small things ----------------------------------------------------------------------------------------------

    def _leave(self, sub: Subscription, name: str) -> None:
        sub.waiting_since.pop(name, None)
        sub.blocked.pop(name, None)
        if name in sub.held or name in sub.perhaps or name in sub.asked or sub.flying_version(name) is not None:
            sub.leaving[name] = None

    def _needs(self, sub: Subscription, name: str) -> frozenset[str]:
        return _NO_NEEDS if self._relay else self._snapshot.needs((sub.type_url, name))

    def _look_again_at_blocked(self) -> None:
        for type_url in USERS_OF_CLUSTERS:
            sub = self._subs[type_url]
            sub.touch(sub.blocked)
            sub.blocked.clear()

    def _look_again_at_retries(self, now: float) -> None:
        for key in tuple(self._answers.retries):
            sub = self._subs[key[0]]
            refusal = sub.refused.get(key[1])
            if refusal is None or refusal.retry_at is None:
                self._answers.retries.discard(key)
            elif self._reached(refusal.retry_at, now):
                sub.dirty[key[1]] = None

    def _reached(self, at: float, now: float) -> bool:
        """Whether that time has come; if not, ask to be woken then."""
        if now >= at:
            return True
        self._wake(at)
        return False

    def _wake(self, at: float | None) -> None:
        if at is not None:
            self.wake_at = at if self.wake_at is None else min(self.wake_at, at)

    def _nonce(self) -> str:
        self._nonces += 1
        return str(self._nonces)


def _due(refusal: Refusal, now: float) -> bool:
    return refusal.retry_at is not None and now >= refusal.retry_at


def _suspected(sub: Subscription, name: str, version: str) -> bool:
    return any(group.get(name) == version for group in sub.suspects)
