"""What a stand-in does from time to time: ended tokens and old events leave."""

import asyncio
from typing import Final

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.exc import SQLAlchemyError

from gatewright.hub.apim import oauth
from gatewright.hub.apim.services import Services
from gatewright.hub.apim.tables import events, gateways
from gatewright.hub.store import Unit
from gatewright.observability.logging import get_logger

_EVERY: Final = 600.0
_UNDELIVERED_FACTOR: Final = 7

_log = get_logger(__name__)


class Upkeep:
    """The jobs; `run` repeats them until cancelled."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def run(self) -> None:
        """Repeat. A failure is logged and the job tried again at its next turn."""
        while True:
            await asyncio.sleep(_EVERY)
            try:
                await self.purge()
            except SQLAlchemyError as error:
                _log.error("upkeep failed and will be tried again", cause=str(error))

    async def purge(self) -> None:
        """Remove tokens that have ended, and events beyond their retention."""
        retention = self._services.config.event_retention
        await self._services.store.write(oauth.purge)
        await self._services.store.write(lambda unit: purge_events(unit, retention))


def purge_events(unit: Unit, retention: float) -> None:
    """Remove delivered events older than `retention` seconds, and undelivered ones much later."""
    horizon = unit.now.unix_ms - int(retention * 1000)
    last = unit.now.unix_ms - int(retention * 1000) * _UNDELIVERED_FACTOR
    confirmed = (
        select(gateways.c.confirmed_seq).where(gateways.c.id == events.c.gateway_id).correlate(events).scalar_subquery()
    )
    delivered = and_(events.c.created_at < horizon, events.c.seq <= confirmed)
    unit.connection.execute(delete(events).where(or_(delivered, events.c.created_at < last)))
