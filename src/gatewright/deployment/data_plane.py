"""The routers behind an xDS server, as the deployment room sees them.

Stands between the server and `Delivery` as the server's observer, so that refusals are heard of the moment they come.
"""

from collections.abc import Iterable, Mapping, Sequence

from gatewright.deployment.results import RouterServing
from gatewright.deployment.serving import FirstAnswer, RefusalListener, ResourceId, Settled
from gatewright.xds.delivery import Delivery, Verdict
from gatewright.xds.outcomes import Node, Outcome, Refused, Report


class Routers:
    """A `DataPlane` for the rollout, an `Observer` for `AdsServer`."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._listeners: list[RefusalListener] = []

    # -- DataPlane -------------------------------------------------------------------------------------------------

    def on_refusal(self, listener: RefusalListener) -> None:
        """See DataPlane."""
        self._listeners.append(listener)

    async def settled(self, resources: Mapping[ResourceId, str | None], timeout: float) -> Settled:  # noqa: ASYNC109
        """See DataPlane."""
        return _settled((await self._delivery.settled(resources, timeout)).routers)

    def now(self, resources: Mapping[ResourceId, str | None]) -> Settled:
        """See DataPlane."""
        return _settled(self._delivery.verdicts(resources))

    async def first(self, resources: Mapping[ResourceId, str | None], timeout: float) -> FirstAnswer:  # noqa: ASYNC109
        """See DataPlane."""
        word = await self._delivery.first(resources, timeout)
        if word.verdict is None:
            return FirstAnswer(None)
        verdict = word.verdict
        return FirstAnswer(RouterServing(verdict.router, verdict.state, verdict.reason), word.sent)

    # -- Observer --------------------------------------------------------------------------------------------------

    def connected(self, router: str, node: Node, peer: str) -> None:
        """A stream has begun."""
        self._delivery.connected(router, node, peer)

    def disconnected(self, router: str) -> None:
        """It has ended."""
        self._delivery.disconnected(router)

    def sent(self, router: str, keys: Iterable[ResourceId]) -> None:
        """Resources were given to the router."""
        self._delivery.sent(router, keys)

    def outcomes(self, router: str, outcomes: Sequence[Outcome]) -> None:
        """Resources were accepted or refused."""
        self._delivery.outcomes(router, outcomes)
        self._tell(outcomes)

    def reported(self, router: str, report: Report) -> None:
        """A relay passes on what its Envoy made of resources."""
        self._delivery.reported(router, report)
        self._tell(report.outcomes)

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Refused):
                for listener in self._listeners:
                    listener(outcome.key, outcome.version, outcome.reason)


def _settled(verdicts: tuple[Verdict, ...]) -> Settled:
    return Settled(tuple(RouterServing(verdict.router, verdict.state, verdict.reason) for verdict in verdicts))
