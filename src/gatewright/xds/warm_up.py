"""Listeners between the router's acknowledgement and their first request: they wait for routes. Pure; part of a stream.

Envoy acknowledges a listener at once, but puts it to use only when its routes have come. Two things follow.

* A listener is told of as accepted when it has its routes, so that whoever waits for it can send a request.
* Envoy (measured with 1.40) keeps its subscription to scopes when the last listener with scoped routes has gone, and
  asks for nothing when another one comes: that listener would wait for ever. So after a change of listeners all scopes
  are sent once more, in one piece, because the listener opens with the first ones that come.
"""

from collections.abc import Mapping, Sequence

from gatewright.envoy.resource import LISTENER, ROUTES, SCOPE
from gatewright.xds.needs import Routing, routing_of
from gatewright.xds.outcomes import Accepted, Outcome
from gatewright.xds.snapshot import Snapshot
from gatewright.xds.subscription import Flight, Subscription

_NOTHING = Routing()


class WarmUp:
    """What one stream has to remember for it."""

    def __init__(self, snapshot: Snapshot, subs: Mapping[str, Subscription]) -> None:
        self._snapshot = snapshot
        self._scopes, self._routes = subs[SCOPE], subs[ROUTES]
        self._in_air: dict[str, float] = {}
        self._again = False
        self._waiting: dict[str, Accepted] = {}

    def launched(self, flight: Flight) -> None:
        """Listeners are on their way. Those that come before any scope ask for scopes themselves."""
        known = self._scopes.started or self._scopes.claimed
        if known and any(self._routing(name, version).scoped for name, (version, _) in flight.puts.items()):
            self._in_air[flight.nonce] = flight.sent_at

    def landed(self, flight: Flight) -> None:
        """They have been answered, in whatever way."""
        if self._in_air.pop(flight.nonce, None) is not None:
            self._again = True

    @property
    def in_air_since(self) -> float | None:
        """When the first listeners were sent that will wait for scopes; scopes sent now would open them too early."""
        return min(self._in_air.values(), default=None)

    def may_send_scopes(self) -> bool:
        """Whether scopes may go out; begins anew with them when that is due and nothing is on its way any more."""
        if not self._again:
            return True
        if self._scopes.flights:
            return False
        self._again = False
        self._scopes.begin_anew(self._snapshot.of_type(SCOPE))
        return True

    def sift(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The same, with listeners held back until they have their routes."""
        sifted: list[Outcome] = []
        for outcome in outcomes:
            type_url, name = outcome.key
            if type_url == LISTENER:
                self._waiting.pop(name, None)
                if isinstance(outcome, Accepted) and outcome.version is not None:
                    self._waiting[name] = outcome
                    continue
            sifted.append(outcome)
        for name, outcome in list(self._waiting.items()):
            if self._is_warm(self._routing(name, outcome.version)):
                sifted.append(self._waiting.pop(name))
        return sifted

    def _is_warm(self, routing: Routing) -> bool:
        if routing.scoped and (self._again or not self._scopes.answered or self._scopes.flights):
            return False
        return all(name in self._routes.held for name in routing.configurations)

    def _routing(self, name: str, version: str | None) -> Routing:
        """Nothing for a version that has been replaced: nobody waits for it any more."""
        resource = self._snapshot.get((LISTENER, name))
        return routing_of(resource) if resource is not None and resource.version == version else _NOTHING
