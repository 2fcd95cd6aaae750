"""What the endpoints of a stand-in share."""

import msgspec
from starlette.requests import HTTPConnection

from gatewright.hub.apim import platform_gateways
from gatewright.hub.apim.config import ApiManagerConfig
from gatewright.hub.apim.problems import Refusal
from gatewright.hub.apim.recorder import OBSERVER, Recorder
from gatewright.hub.apim.switches import SWITCHES, SwitchBoard
from gatewright.hub.config import Clock
from gatewright.hub.connections import Connections
from gatewright.hub.gateways import Caller
from gatewright.hub.store import Store
from gatewright.observability.logging import get_logger

_log = get_logger(__name__)


class Services(msgspec.Struct, frozen=True):
    """Built once by the server and handed to everything that answers requests."""

    config: ApiManagerConfig
    clock: Clock
    store: Store
    connections: Connections
    switches: SwitchBoard
    recorder: Recorder

    def fault(self, request: HTTPConnection, switch: str) -> str:
        """How `request` is to be treated. Whoever only observes meets no faults and uses none up."""
        return SWITCHES[switch][0] if OBSERVER in request.headers else self.switches.use(switch)

    async def gateway(self, presented: str) -> Caller | None:
        """The gateway behind a registration token; one that only the configuration knows is made."""
        caller = await self.store.read(lambda connection: platform_gateways.authenticate(connection, presented))
        connect = None if caller else platform_gateways.configured(self.config.connects, presented)
        if connect is None:
            return caller
        try:
            return await self.store.write(lambda unit: platform_gateways.adopt(unit, connect))
        except Refusal as refusal:
            _log.error("a gateway of the configuration cannot be made", name=connect.name, cause=refusal.description)
            return None
