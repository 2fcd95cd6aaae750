"""What a sync would do about every API, without doing it: reads here and at API Manager, writes nothing."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from gatewright.controlplane.apim.archive import Unexportable
from gatewright.controlplane.apim.plan import Intent, State, Wanted, plan
from gatewright.controlplane.apim.publisher import CallFailed
from gatewright.controlplane.apim.tools import Item, Tools
from gatewright.controlplane.apim.turn import Turns
from gatewright.controlplane.apim.work import departure
from gatewright.deployment import Deployments
from gatewright.deployment.apim_writes import KIND
from gatewright.store.rows import ArtifactRow

TIME_LIMIT: Final = 100.0
"""Seconds for all of it."""


class Planner:
    """Asks; one at a time is enough for people."""

    def __init__(self, deployments: Deployments, tools: Tools, turns: Turns) -> None:
        self._deployments = deployments
        self._tools = tools
        self._turns = turns
        self._places = asyncio.Semaphore(tools.config.pool)

    async def run(self, names: Iterable[str]) -> dict[str, Any]:
        """Handles, ids or display names choose; all when there are none. Ready for JSON."""
        wanted = set(names)
        rows = [row for row in await self._deployments.list(KIND) if row.origin == "gateway_api"]
        chosen = [row for row in reversed(rows) if not wanted or wanted & {row.handle, row.uuid, row.display_name}]
        gone = [] if wanted else [departure(row) for row in await self._deployments.apim.departures()]
        unknown = wanted - {name for row in chosen for name in (row.handle, row.uuid, row.display_name)}
        asked = [self._of_row(row) for row in chosen] + [self._of_departure(item) for item in gone]
        try:
            async with asyncio.timeout(TIME_LIMIT):
                entries = await asyncio.gather(*asked)
        except TimeoutError:
            return {"error": f"API Manager did not answer about {len(asked)} APIs within {TIME_LIMIT:g} s"}
        return {
            "rule": self._tools.config.rule,
            "gatewayName": self._tools.config.gateway_name,
            "apis": entries,
            "unknown": sorted(unknown),
        }

    async def _of_row(self, row: ArtifactRow) -> dict[str, Any]:
        subject = _Subject(
            row.uuid, row.display_name, row.version, row.desired_state, row, row.cp_sync_status != "success"
        )
        return {"handle": row.handle, "id": row.uuid, **await self._entry(subject)}

    async def _of_departure(self, item: Item) -> dict[str, Any]:
        return {"id": item.uuid, **await self._entry(_Subject(item.uuid, item.name, item.version, "deleted"))}

    async def _entry(self, subject: "_Subject") -> dict[str, Any]:
        intent = await self._intent(subject)
        found: dict[str, Any] = {"displayName": subject.name, "version": subject.version, "state": subject.state}
        if isinstance(intent, CallFailed):
            return {**found, "action": "unknown", "reason": intent.message}
        found |= {"action": intent.action, "reason": intent.reason}
        return {**found, "apiId": intent.api_id} if intent.api_id else found

    async def _intent(self, subject: "_Subject") -> Intent | CallFailed:
        content, problem = "", ""
        name, version, config = subject.name, subject.version, self._tools.config
        record = await self._deployments.apim.known(subject.uuid, name, version)
        if subject.state == "deployed":
            made = self._turns.export(subject.artifact)
            content, problem = ("", made.reason) if isinstance(made, Unexportable) else (made.content, "")
        async with self._places:
            there = await self._tools.look(name, version, record.api_id)
        if isinstance(there, CallFailed):
            return there
        wanted = Wanted(name, version, subject.state, content=content, problem=problem, waiting=subject.waiting)
        return plan(wanted, record, there, rule=config.rule, gateway_name=config.gateway_name)


class _Subject(msgspec.Struct, frozen=True):
    """What a plan is about."""

    uuid: str
    name: str
    version: str
    state: State
    artifact: ArtifactRow | None = None
    waiting: bool = True
