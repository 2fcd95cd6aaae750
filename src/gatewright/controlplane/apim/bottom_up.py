"""The direction to API Manager as the link sees it: put together once, switched by connects, asked by people."""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from gatewright.controlplane.apim.config import ApimConfig
from gatewright.controlplane.apim.oauth import Tokens
from gatewright.controlplane.apim.planning import Planner
from gatewright.controlplane.apim.publisher import Publisher
from gatewright.controlplane.apim.states import departing, state, totals
from gatewright.controlplane.apim.sync import Sync
from gatewright.controlplane.apim.theirs import Theirs
from gatewright.controlplane.apim.tools import Tools
from gatewright.controlplane.apim.transport import Transport
from gatewright.controlplane.apim.turn import Turns
from gatewright.controlplane.apim.work import departure
from gatewright.controlplane.echoes import Echoes
from gatewright.controlplane.journal import Journal
from gatewright.controlplane.rest import Rest
from gatewright.controlplane.trust import Trust
from gatewright.deployment import Deployments
from gatewright.deployment.apim_writes import KIND
from gatewright.deployment.ids import Clock
from gatewright.observability.logging import get_logger
from gatewright.store.rows import ArtifactRow

DELETION_PATIENCE: Final = 15.0
"""Seconds that a deletion waits for API Manager at most; what is not done by then is done later."""

_NOT_OFFERED: Final = (
    "APIs made here are not synced to an API Manager: a cloud control plane offers no such sync, it receives them as "
    "artifacts"
)
_SWITCH: Final = "controller.controlplane.deployment_sync_enabled"
_log = get_logger(__name__)


class BottomUp:
    """One gateway's. Nothing happens before `connect`. `found_again` is called when keys have to be asked for anew."""

    def __init__(
        self,
        config: ApimConfig,
        deployments: Deployments,
        rest: Rest,
        trust: Trust,
        *,
        echoes: Echoes,
        environment: Mapping[str, str],
        found_again: Callable[[], None],
        journal: Journal,
        clock: Clock,
        random: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self._config = config
        self._deployments = deployments
        self._transport = Transport(config.host, trust, connections=config.pool)
        publisher = Publisher(self._transport, Tokens(config, self._transport, now=now))
        self._theirs = Theirs(deployments, rest, publisher, config.gateway_name)
        tools = Tools(
            config=config,
            publisher=publisher,
            records=deployments.apim,
            echoes=echoes,
            environment=environment,
            take_theirs=self._theirs.take,
            found_again=found_again,
            owner=uuid.uuid4().hex,
            clock=clock,
        )
        turns = Turns(tools)
        self._sync = Sync(config, deployments, turns, journal=journal, clock=clock, random=random, now=now)
        self._planner = Planner(deployments, tools, turns)
        self._planning = asyncio.Lock()
        self._mode = "unknown"
        self._told: set[str] = set()

    def connect(self, gateway_id: str) -> None:
        """The link to an API Manager is up; it knows this gateway under `gateway_id`."""
        self._mode = "on_prem"
        self._theirs.gateway_id = gateway_id
        if self._config.enabled:
            for lacking in self._config.lacks:
                if self._is_first(lacking):
                    _log.warning(
                        "APIs made here cannot be synced to API Manager: a setting is missing", setting=lacking
                    )
        elif self._is_first(_SWITCH):
            _log.info("the sync to API Manager is switched off", setting=_SWITCH)
        self._sync.connect()

    def not_offered(self) -> None:
        """The link to a cloud control plane is up."""
        self._mode = "cloud"
        self._sync.disconnect(elsewhere=True)
        if self._is_first(_NOT_OFFERED):
            _log.info(_NOT_OFFERED)

    def hurry(self) -> None:
        """What waits for its time after a failure is tried now."""
        self._sync.hurry()

    def disconnect(self) -> None:
        """The link is down."""
        self._sync.disconnect()

    async def stop(self) -> None:
        """End; what is under way is found again at the next start."""
        await self._sync.stop()
        await self._transport.close()

    async def departed(self, local_id: str) -> None:
        """Returns when API Manager has been told of a deletion, or when that takes too long for somebody who waits."""
        await self._sync.departed(local_id, DELETION_PATIENCE)

    async def plan(self, names: Iterable[str]) -> Mapping[str, Any]:
        """What a sync would do; `error` says why that cannot be told. Asks API Manager."""
        if self._mode != "on_prem":
            return {"error": _NOT_OFFERED if self._mode == "cloud" else "no API Manager has been reached yet"}
        async with self._planning:
            return await self._planner.run(names)

    async def state(self, row: ArtifactRow) -> dict[str, Any] | None:
        """How far one API is; None while no API Manager is known, and for an API that is not sent there."""
        if self._mode != "on_prem" or row.kind != KIND:
            return None
        records = self._deployments.apim
        return state(row, await records.get(row.uuid), await records.queued_for(row.uuid))

    async def overview(self, rows: Iterable[ArtifactRow]) -> dict[str, Any]:
        """All of it: `apis` by local UUID, `departing`, and what people have to know."""
        found: dict[str, Any] = {"mode": self._mode}
        if self._mode == "cloud":
            return {**found, "offered": False, "note": _NOT_OFFERED}
        if self._mode != "on_prem":
            return found
        records = {record.uuid: record for record in await self._deployments.apim.everything()}
        queued = {each.entity_id: each for each in await self._deployments.apim.queued()}
        states = {row.uuid: state(row, records.get(row.uuid), queued.get(row.uuid)) for row in rows if row.kind == KIND}
        gone = [departure(row) for row in await self._deployments.apim.departures()]
        leaving = departing((item.queued, item.name, item.version) for item in gone)
        return {
            **found,
            "offered": True,
            "enabled": self._config.enabled,
            "gatewayName": self._config.gateway_name,
            "conflicts": self._config.rule,
            "lacking": list(self._config.lacks) if self._config.enabled else [],
            "outOfOrder": self._sync.out_of_order,
            "totals": totals(states.values()),
            "departing": leaving,
            "apis": states,
        }

    def _is_first(self, what: str) -> bool:
        """Whether it has not been said yet: not again at every reconnect."""
        first = what not in self._told
        self._told.add(what)
        return first
