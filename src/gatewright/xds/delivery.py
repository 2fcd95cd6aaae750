"""What every connected router made of every resource, and callers who wait for it. Belongs to one event loop.

Servers and relays write here through `Observer`; deployment and the admin API read.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, Protocol, TypeAlias

import msgspec

from gatewright.envoy.resource import LISTENER, ROUTES, SCOPE
from gatewright.observability.logging import get_logger
from gatewright.xds.keys import WILDCARD_TYPES, ResourceKey, short
from gatewright.xds.metrics import ANSWERS, CLIENTS
from gatewright.xds.outcomes import Accepted, Node, Outcome, Refused, Report
from gatewright.xds.snapshot import Snapshot

VerdictState: TypeAlias = Literal["accepted", "refused", "pending"]

_AWAITED_REMOVALS = frozenset({LISTENER, ROUTES, SCOPE})
"""Types whose removal ends traffic. Others stay as long as something may use them, and nobody should wait for that."""

_log = get_logger(__name__)


class Observer(Protocol):
    """Is told what happens on the streams of a server; `router` is unique among the connected ones."""

    def connected(self, router: str, node: Node, peer: str) -> None:
        """A stream has begun."""

    def disconnected(self, router: str) -> None:
        """It has ended."""

    def sent(self, router: str, keys: Iterable[ResourceKey]) -> None:
        """Resources, or their removal, were given to the router."""

    def outcomes(self, router: str, outcomes: Sequence[Outcome]) -> None:
        """Resources were accepted or refused."""

    def reported(self, router: str, report: Report) -> None:
        """A relay passes on what its Envoy made of resources."""


class Verdict(msgspec.Struct, frozen=True):
    """One router's word on a set of resources. `reason`: Envoy's own words, or what is still missing."""

    router: str
    state: VerdictState
    reason: str | None = None


class Settlement(msgspec.Struct, frozen=True):
    """`served`: accepted by all of `routers`. `stored`: there is no router. `refused`: one refused, `reason` says why.

    `timeout`: not all have answered.
    """

    state: Literal["served", "refused", "stored", "timeout"]
    routers: tuple[Verdict, ...] = ()
    reason: str | None = None


class FirstWord(msgspec.Struct, frozen=True):
    """The first router's word on a set of resources; None in `verdict`: nobody has said anything.

    `sent` is when the last of them was first given to it, in ns since 1970; None when that is not known.
    """

    verdict: Verdict | None
    sent: int | None = None


class RouterState(msgspec.Struct, frozen=True):
    """A connected router, for people. `envoy`: whether it has a running Envoy; without one it is not waited for."""

    router: str
    node: Node
    peer: str
    connected_since: datetime
    envoy: bool
    accepted: int
    pending: int
    refused: tuple[Refused, ...]
    last_refusal: str | None
    last_refusal_at: datetime | None


class _Router:
    def __init__(self, node: Node, peer: str, since: datetime) -> None:
        self.node = node
        self.peer = peer
        self.since = since
        self.envoy = not node.relay
        self.sent: dict[ResourceKey, int] = {}
        self.accepted: dict[ResourceKey, str] = {}
        self.refused: dict[ResourceKey, Refused] = {}
        self.last_refusal: Refused | None = None
        self.last_refusal_at: datetime | None = None


class _Waiter:
    def __init__(self, keys: Iterable[ResourceKey]) -> None:
        self.keys = frozenset(keys)
        self.news = asyncio.Event()


class Delivery:
    """Acknowledgements by router and resource. `clock` gives the wall time for display."""

    def __init__(
        self, snapshot: Snapshot, *, clock: Callable[[], datetime] | None = None, keeps_times: bool = False
    ) -> None:
        """`keeps_times`: remember when each resource was sent last, for traces."""
        self._snapshot = snapshot
        self._keeps_times = keeps_times
        self._clock = clock or (lambda: datetime.now(UTC))
        self._routers: dict[str, _Router] = {}
        self._waiters: dict[ResourceKey, set[_Waiter]] = {}
        snapshot.subscribe(self._changed)

    # -- what servers and relays say -------------------------------------------------------------------------------

    def connected(self, router: str, node: Node, peer: str) -> None:
        """A router has connected; what it holds follows as outcomes."""
        self._routers[router] = _Router(node, peer, self._clock())
        CLIENTS.set(len(self._routers))
        _log.info("router connected", router=router, peer=peer, envoy=node.build)

    def disconnected(self, router: str) -> None:
        """A router has gone; nobody waits for it any more."""
        if self._routers.pop(router, None) is not None:
            CLIENTS.set(len(self._routers))
            _log.info("router disconnected", router=router)
            self._wake_all()

    def sent(self, router: str, keys: Iterable[ResourceKey]) -> None:
        """Resources were given to the router."""
        state = self._routers.get(router)
        if state is not None and self._keeps_times:
            state.sent.update(dict.fromkeys(keys, time.time_ns()))

    def outcomes(self, router: str, outcomes: Sequence[Outcome]) -> None:
        """Resources were accepted or refused."""
        state = self._routers.get(router)
        if state is None:
            return
        for outcome in outcomes:
            if isinstance(outcome, Refused):
                self._refused(router, state, outcome)
            else:
                self._accepted(state, outcome)
            for waiter in self._waiters.get(outcome.key, ()):
                waiter.news.set()

    def reported(self, router: str, report: Report) -> None:
        """A relay passes on what its Envoy says."""
        state = self._routers.get(router)
        if state is None:
            return
        if report.fresh:
            state.accepted.clear()
            state.refused.clear()
        if state.envoy != report.envoy:
            state.envoy = report.envoy
            self._wake_all()
        self.outcomes(router, report.outcomes)

    # -- what others ask -------------------------------------------------------------------------------------------

    def verdicts(self, resources: Mapping[ResourceKey, str | None]) -> tuple[Verdict, ...]:
        """Each serving router's word on these versions; None stands for a removed resource.

        A version that has been replaced in the snapshot counts as accepted with the newer one.
        """
        return tuple(self._verdict(name, resources) for name, state in self._routers.items() if state.envoy)

    async def settled(self, resources: Mapping[ResourceKey, str | None], timeout: float) -> Settlement:  # noqa: ASYNC109
        """Wait until all routers connected now have accepted these versions, or one has refused; at most `timeout` s.

        A router that disconnects meanwhile is not waited for any longer.
        """
        first = self.verdicts(resources)
        settlement = _settlement(first)
        if settlement is not None:
            return settlement
        asked = frozenset(verdict.router for verdict in first)
        waiter = _Waiter(resources)
        self._register(waiter)
        try:
            async with asyncio.timeout(timeout):
                while True:
                    await waiter.news.wait()
                    waiter.news.clear()
                    now = tuple(verdict for verdict in self.verdicts(resources) if verdict.router in asked)
                    settlement = _settlement(now)
                    if settlement is not None:
                        return settlement
        except TimeoutError:
            last = tuple(verdict for verdict in self.verdicts(resources) if verdict.router in asked)
            return _settlement(last) or _timed_out(last)
        finally:
            self._unregister(waiter)

    async def first(self, resources: Mapping[ResourceKey, str | None], timeout: float) -> FirstWord:  # noqa: ASYNC109
        """Wait until one router has accepted or refused these versions; at most `timeout` s.

        At once when there is no router.
        """
        waiter = _Waiter(resources)
        self._register(waiter)
        try:
            async with asyncio.timeout(timeout):
                while True:
                    verdicts = self.verdicts(resources)
                    found = next((verdict for verdict in verdicts if verdict.state != "pending"), None)
                    if found is not None or not verdicts:
                        return FirstWord(found, self._sent_at(found, resources))
                    await waiter.news.wait()
                    waiter.news.clear()
        except TimeoutError:
            return FirstWord(next(iter(self.verdicts(resources)), None))
        finally:
            self._unregister(waiter)

    def routers(self) -> list[RouterState]:
        """The connected routers."""
        return [self._state(name, router) for name, router in self._routers.items()]

    def refusals(self, key: ResourceKey) -> dict[str, Refused]:
        """Who refuses the current version of a resource, by router."""
        current = self._snapshot.get(key)
        found: dict[str, Refused] = {}
        for name, router in self._routers.items():
            refused = router.refused.get(key)
            if refused is not None and current is not None and refused.version == current.version:
                found[name] = refused
        return found

    # -- inside ----------------------------------------------------------------------------------------------------

    def _sent_at(self, verdict: Verdict | None, resources: Iterable[ResourceKey]) -> int | None:
        router = self._routers.get(verdict.router) if verdict is not None else None
        times = [router.sent[key] for key in resources if key in router.sent] if router is not None else []
        return max(times, default=None)

    def _changed(self, keys: tuple[ResourceKey, ...]) -> None:
        """What was refused only because of something that is different now is open again."""
        changed = frozenset(keys)
        for router in self._routers.values():
            for refused in [r for r in router.refused.values() if r.cause in changed]:
                del router.refused[refused.key]

    def _accepted(self, state: _Router, outcome: Accepted) -> None:
        ANSWERS.labels(status="ack").inc()
        if outcome.version is None:
            state.sent.pop(outcome.key, None)
            state.accepted.pop(outcome.key, None)
            state.refused.pop(outcome.key, None)
            return
        state.accepted[outcome.key] = outcome.version
        refused = state.refused.get(outcome.key)
        if refused is not None and refused.version == outcome.version:
            del state.refused[outcome.key]

    def _refused(self, router: str, state: _Router, outcome: Refused) -> None:
        ANSWERS.labels(status="nack").inc()
        repeated = state.refused.get(outcome.key) == outcome
        state.refused[outcome.key] = outcome
        state.last_refusal, state.last_refusal_at = outcome, self._clock()
        if not repeated:
            _log.warning(
                "a router refused a resource and keeps the version before",
                router=router,
                resource=short(outcome.key),
                version=outcome.version,
                reason=outcome.reason,
            )

    def _verdict(self, name: str, resources: Mapping[ResourceKey, str | None]) -> Verdict:
        router = self._routers[name]
        missing = None
        for key, version in resources.items():
            state, reason = self._one(router, key, version)
            if state == "refused":
                return Verdict(name, "refused", reason)
            if state == "pending" and missing is None:
                missing = f"no answer yet about {short(key)}"
        return Verdict(name, "accepted" if missing is None else "pending", missing)

    def _one(self, router: _Router, key: ResourceKey, version: str | None) -> tuple[VerdictState, str | None]:
        has = router.accepted.get(key)
        if version is None and key[0] not in _AWAITED_REMOVALS:
            return "accepted", None
        current = self._snapshot.get(key)
        # "This version or a newer one": what was replaced before it was sent is never accepted itself.
        wanted = {version, current.version if current is not None else None}
        refused = router.refused.get(key)
        if has in wanted:
            return "accepted", None
        if refused is not None and refused.version in wanted:
            return "refused", refused.reason
        if has is None and refused is None and key[0] not in WILDCARD_TYPES:
            # Of these types an Envoy asks only for what it uses; what it has refused once, it uses.
            return "accepted", None
        return "pending", None

    def _state(self, name: str, router: _Router) -> RouterState:
        accepted = pending = 0
        refused: list[Refused] = []
        for resource in self._snapshot:
            key = (resource.type_url, resource.name)
            state, _ = self._one(router, key, resource.version)
            if state == "refused":
                refused.append(router.refused[key])
            elif state == "pending":
                pending += 1
            elif key in router.accepted:
                accepted += 1
        last = router.last_refusal
        return RouterState(
            router=name,
            node=router.node,
            peer=router.peer,
            connected_since=router.since,
            envoy=router.envoy,
            accepted=accepted,
            pending=pending,
            refused=tuple(refused),
            last_refusal=f"{short(last.key)}: {last.reason}" if last is not None else None,
            last_refusal_at=router.last_refusal_at,
        )

    def _register(self, waiter: _Waiter) -> None:
        for key in waiter.keys:
            self._waiters.setdefault(key, set()).add(waiter)

    def _unregister(self, waiter: _Waiter) -> None:
        for key in waiter.keys:
            waiting = self._waiters.get(key)
            if waiting is not None:
                waiting.discard(waiter)
                if not waiting:
                    del self._waiters[key]

    def _wake_all(self) -> None:
        for waiting in self._waiters.values():
            for waiter in waiting:
                waiter.news.set()


def _settlement(verdicts: tuple[Verdict, ...]) -> Settlement | None:
    if not verdicts:
        return Settlement("stored")
    for verdict in verdicts:
        if verdict.state == "refused":
            return Settlement("refused", verdicts, verdict.reason)
    if all(verdict.state == "accepted" for verdict in verdicts):
        return Settlement("served", verdicts)
    return None


def _timed_out(verdicts: tuple[Verdict, ...]) -> Settlement:
    late = next((verdict for verdict in verdicts if verdict.state == "pending"), None)
    reason = f"{late.router}: {late.reason}" if late is not None else None
    return Settlement("timeout", verdicts, reason)
