"""What the turns of APIs work with."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from gatewright.controlplane.apim.config import ApimConfig
from gatewright.controlplane.apim.evidence import Remote
from gatewright.controlplane.apim.outcome import Outcome
from gatewright.controlplane.apim.plan import State
from gatewright.controlplane.apim.publisher import CallFailed, Publisher
from gatewright.controlplane.echoes import Echoes
from gatewright.deployment.apim_writes import ApimRecords
from gatewright.deployment.ids import Clock
from gatewright.observability.logging import get_logger
from gatewright.store.rows import ArtifactRow, OutboxRow

ATTEMPTS: Final = 3
PAUSES: Final = (1.0, 2.0)
"""Seconds before the second and the third attempt."""

LONGEST_PAUSE: Final = 10.0
"""A `Retry-After` beyond it ends the turn; the next one comes when API Manager wants it."""

TakeTheirs = Callable[[str, str, str], Awaitable[str]]
"""Takes API Manager's version: local UUID, id there, our last revision. Returns why that is impossible, or nothing."""

_log = get_logger(__name__)


class Item(msgspec.Struct, frozen=True):
    """What an outbox row asks for. `artifact` is the stored one, or the last content of a deleted one.

    `marked` is the local UUID that our marks at API Manager name.
    """

    queued: OutboxRow
    uuid: str
    name: str
    version: str
    state: State
    marked: str
    artifact: ArtifactRow | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What API Manager knows an API by: two items with the same never run side by side."""
        return (self.name, self.version)


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """`owner` names this process in claims; `environment` is what `{{ env }}` in documents may read.

    `found_again` is called when an API turns out to have been there before: its keys came before anybody knew whose
    they are.
    """

    config: ApimConfig
    publisher: Publisher
    records: ApimRecords
    echoes: Echoes
    environment: Mapping[str, str]
    take_theirs: TakeTheirs
    found_again: Callable[[], None]
    owner: str
    clock: Clock
    pauses: tuple[float, ...] = PAUSES

    async def look(self, name: str, version: str, api_id: str | None) -> Remote | CallFailed | None:
        """The API of this name and version at API Manager; `api_id` is where to look first."""
        if api_id is not None:
            there = await self.publisher.api(api_id)
            if isinstance(there, CallFailed):
                return there
            if there is not None and (there.name, there.version) == (name, version):
                return there
        found = await self.publisher.find(name, version)
        if isinstance(found, CallFailed):
            return found
        return await self.publisher.api(found[0]) if found else None

    async def pause(self, attempt: int, failure: CallFailed) -> bool:
        """Wait before the next attempt. False: there is none in this turn."""
        pause = max(self.pauses[attempt - 1] if attempt <= len(self.pauses) else 0.0, failure.retry_after)
        if attempt >= ATTEMPTS or pause > LONGEST_PAUSE:
            return False
        await asyncio.sleep(pause)
        return True


def attempted(what: str, item: Item, attempt: int, failure: CallFailed) -> None:
    """A line of the log for a failed attempt."""
    _log.warning(
        f"Bottom-up sync: {what}",
        uuid=item.uuid,
        display_name=item.name,
        desired_state=item.state,
        attempt=attempt,
        error=failure.message,
    )


def failed(failure: CallFailed) -> Outcome:
    """How a turn ends that ended with this call."""
    return Outcome(
        kind="failed",
        message=failure.message,
        temporary=failure.temporary,
        outage=failure.outage,
        retry_after=failure.retry_after,
    )
