"""What the endpoints of a stand-in share."""

import msgspec
from starlette.requests import HTTPConnection

from gatewright.hub.apim.config import ApiManagerConfig
from gatewright.hub.apim.recorder import OBSERVER, Recorder
from gatewright.hub.apim.switches import SWITCHES, SwitchBoard
from gatewright.hub.config import Clock
from gatewright.hub.connections import Connections
from gatewright.hub.store import Store


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
