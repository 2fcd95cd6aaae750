"""What a hub does from time to time: late acknowledgements fail, rotated tokens end, old events and records leave."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from gatewright.hub import deployments, event_log, gateways
from gatewright.hub.services import Services
from gatewright.hub.watching import Touched
from gatewright.observability.logging import get_logger
from gatewright.wire.paths import REASON_SERVER_NORMAL

_TOKEN_CHECK: Final = 1.0
_PURGE_EVERY: Final = 600.0

_log = get_logger(__name__)


class Upkeep:
    """The jobs, each callable by itself; `run` repeats them until cancelled."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def run(self) -> None:
        """Repeat the jobs at their intervals. A failing job is logged and tried again at its next turn."""
        check = self._services.config.ack_check
        await asyncio.gather(
            self._repeat(self.expire_deployments, check),
            self._repeat(self.end_rotations, _TOKEN_CHECK),
            self._repeat(self.purge, _PURGE_EVERY),
        )

    async def expire_deployments(self) -> None:
        """Fail deployments that no gateway has acknowledged in time."""
        timeout = self._services.config.ack_timeout
        expired = await self._services.store.write(lambda unit: deployments.expire(unit, timeout))
        for artifact_id, gateway_id in expired:
            _log.warning("no acknowledgement in time", artifact=artifact_id, gateway=gateway_id, seconds=timeout)
            self._services.watchers.tell(Touched(gateway_id=gateway_id, artifact_id=artifact_id))

    async def end_rotations(self) -> None:
        """Revoke tokens whose overlap is over, and close what still uses them."""
        ended = set(await self._services.store.write(gateways.end_rotations))
        if ended:
            await self._services.connections.close_where(lambda each: each.token_id in ended, REASON_SERVER_NORMAL)

    async def purge(self) -> None:
        """Remove events beyond the retention and deployment records beyond the number kept."""
        config = self._services.config
        await self._services.store.write(lambda unit: event_log.purge(unit, config.event_retention))
        await self._services.store.write(lambda unit: deployments.trim(unit, config.deployments_kept))

    async def _repeat(self, job: Callable[[], Awaitable[None]], every: float) -> None:
        while True:
            await asyncio.sleep(every)
            try:
                await job()
            except SQLAlchemyError as error:
                _log.error("upkeep failed and will be tried again", cause=str(error))
