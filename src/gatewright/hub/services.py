"""What the hub's endpoints share: settings, store, connections, watchers, time."""

import msgspec

from gatewright.hub.config import Clock, HubConfig
from gatewright.hub.connections import Connections
from gatewright.hub.store import Store
from gatewright.hub.watching import Watchers


class Services(msgspec.Struct, frozen=True):
    """Built once by the server and handed to everything that answers requests."""

    config: HubConfig
    clock: Clock
    store: Store
    connections: Connections
    watchers: Watchers
