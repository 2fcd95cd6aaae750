"""Open connections of gateways, and what each of them still has to get.

Every connection follows the event log by sequence number: from where its gateway is known to have everything, to the
end, then live. What is known is what a PONG has confirmed, so a connection that dies with events in its buffers costs
nothing: the next one is sent them again. Delivery is at least once and in order.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import Connection as DatabaseConnection
from sqlalchemy import select

from gatewright.hub.gateways import ACTIVE, confirm
from gatewright.hub.store import EVENT, Published, Store
from gatewright.hub.tables import events, gateways, tokens
from gatewright.hub.vault import SEALED, Vault
from gatewright.observability.logging import get_logger

_PAGE: Final = 200
_MAX_WAITING: Final = 1000

_log = get_logger(__name__)


class GatewayConnection:
    """One open WebSocket of a gateway. `send` and `close` do the I/O, everything else is state."""

    def __init__(
        self,
        *,
        connection_id: str,
        gateway_id: str,
        token_id: str,
        since_ms: int,
        send: Callable[[str], Awaitable[None]],
        close: Callable[[str], Awaitable[None]],
    ) -> None:
        self.connection_id = connection_id
        self.gateway_id = gateway_id
        self.token_id = token_id
        self.since_ms = since_ms
        self.send = send
        self.close = close
        self.placed = False
        self.started_at = 0
        self.cursor = 0
        self.confirmed = 0
        self._waiting: deque[Published] = deque()
        self._behind = True
        self._wake = asyncio.Event()

    def start_from(self, seq: int) -> None:
        """Everything after `seq` is to be sent."""
        self.started_at = self.cursor = self.confirmed = seq
        self.placed = True

    def offer(self, event: Published) -> None:
        """A new event. When too many wait they are read from the log again instead of being kept here."""
        if self._behind or len(self._waiting) >= _MAX_WAITING:
            self._behind = True
        else:
            self._waiting.append(event)
        self._wake.set()

    async def follow(self, store: Store, send_timeout: float) -> None:
        """Send what there is and what comes, until cancelled. TimeoutError when the peer does not take it."""
        while True:
            if self._behind:
                await self._catch_up(store, send_timeout)
            while self._waiting:
                await self._send(self._waiting.popleft(), send_timeout)
            if not self._behind:
                self._wake.clear()
                await self._wake.wait()

    async def _catch_up(self, store: Store, send_timeout: float) -> None:
        # Cleared before reading: what is published from here on is in `_waiting` if the page does not hold it.
        self._behind = False
        self._waiting.clear()
        cursor, gateway_id = self.cursor, self.gateway_id
        page = await store.read(lambda connection: _page(connection, store.vault, gateway_id, cursor))
        if len(page) == _PAGE:
            self._behind = True
        for event in page:
            await self._send(event, send_timeout)

    async def _send(self, event: Published, send_timeout: float) -> None:
        if event.seq <= self.cursor:
            return
        async with asyncio.timeout(send_timeout):
            await self.send(event.body)
        self.cursor = event.seq


class Connections:
    """The registry: who is connected, how far each gateway is confirmed, and who hears of changes."""

    def __init__(self, store: Store, on_presence: Callable[[str], None]) -> None:
        self._store = store
        self._on_presence = on_presence
        self._open: dict[str, set[GatewayConnection]] = {}
        self._lost: dict[str, int] = {}
        self._confirming: set[asyncio.Task[None]] = set()
        self._persisted: dict[str, int] = {}

    @property
    def total(self) -> int:
        """Open connections of all gateways."""
        return sum(len(group) for group in self._open.values())

    @property
    def gateways(self) -> int:
        """Gateways with at least one open connection."""
        return len(self._open)

    def since(self, gateway_id: str) -> list[int]:
        """When each open connection of a gateway began, in milliseconds."""
        return [connection.since_ms for connection in self._open.get(gateway_id, ())]

    def add(self, connection: GatewayConnection) -> None:
        """Register a connection; from now on it counts and can be closed."""
        self._open.setdefault(connection.gateway_id, set()).add(connection)
        self._on_presence(connection.gateway_id)

    async def place(self, connection: GatewayConnection) -> bool:
        """Decide where the replay of a registered connection begins; False when its token has ended meanwhile."""
        gateway_id, token_id = connection.gateway_id, connection.token_id
        known = await self._store.read(lambda database: _confirmed_seq(database, gateway_id, token_id))
        if known is None:
            return False
        floors = [other.confirmed for other in self._open.get(gateway_id, ()) if other.placed]
        lost = self._lost.pop(gateway_id, None)
        if lost is not None:
            floors.append(lost)
        connection.start_from(min(floors, default=known))
        return True

    def remove(self, connection: GatewayConnection) -> None:
        """Forget a connection. What it did not confirm is kept for its successor."""
        group = self._open.get(connection.gateway_id)
        if group is None or connection not in group:
            return
        group.discard(connection)
        if not group:
            del self._open[connection.gateway_id]
        # A successor that is connected already began at or before what was confirmed here, unless it began later.
        covered = any(other.placed and other.started_at <= connection.confirmed for other in group)
        if connection.placed and not covered:
            before = self._lost.get(connection.gateway_id, connection.confirmed)
            self._lost[connection.gateway_id] = min(before, connection.confirmed)
        self._on_presence(connection.gateway_id)

    def deliver(self, published: list[Published]) -> None:
        """Committed events, in order."""
        for event in published:
            for connection in self._open.get(event.gateway_id, ()):
                connection.offer(event)

    def confirm(self, connection: GatewayConnection, seq: int) -> None:
        """The peer has read everything up to `seq`; remembered on disk so that a restart of the hub replays less."""
        connection.confirmed = max(connection.confirmed, seq)
        gateway_id = connection.gateway_id
        group = self._open.get(gateway_id, set())
        floor = min([other.confirmed for other in group if other.placed] or [connection.confirmed])
        if gateway_id in self._lost or floor <= self._persisted.get(gateway_id, 0):
            return
        self._persisted[gateway_id] = floor
        task = asyncio.get_running_loop().create_task(self._persist(gateway_id, floor))
        self._confirming.add(task)
        task.add_done_callback(self._confirming.discard)

    async def close_where(self, wanted: Callable[[GatewayConnection], bool], reason: str) -> None:
        """Close every connection that is `wanted`, with code 1000."""
        chosen = [connection for group in self._open.values() for connection in group if wanted(connection)]
        for connection in chosen:
            # The connection may be gone meanwhile, which is what was wanted.
            with contextlib.suppress(Exception):
                await connection.close(reason)

    async def settle(self) -> None:
        """Wait for what is being written."""
        while self._confirming:
            await asyncio.gather(*self._confirming, return_exceptions=True)

    async def _persist(self, gateway_id: str, seq: int) -> None:
        try:
            await self._store.write(lambda unit: confirm(unit, gateway_id, seq))
        except Exception as error:  # noqa: BLE001 - costs a longer replay only; the log says why
            _log.warning("cannot remember how far a gateway is confirmed", gateway=gateway_id, error=str(error))


def _page(connection: DatabaseConnection, vault: Vault, gateway_id: str, after: int) -> list[Published]:
    rows = connection.execute(
        select(events.c.seq, events.c.body)
        .where(events.c.gateway_id == gateway_id, events.c.seq > after)
        .order_by(events.c.seq)
        .limit(_PAGE)
    )
    return [
        Published(row.seq, gateway_id, vault.unseal(row.body, EVENT) if row.body.startswith(SEALED) else row.body)
        for row in rows
    ]


def _confirmed_seq(connection: DatabaseConnection, gateway_id: str, token_id: str) -> int | None:
    """How far a gateway is confirmed; None when the token does not open it (any more)."""
    query = (
        select(gateways.c.confirmed_seq)
        .join(tokens, tokens.c.gateway_id == gateways.c.id)
        .where(gateways.c.id == gateway_id, tokens.c.id == token_id, tokens.c.status == ACTIVE)
    )
    return connection.execute(query).scalar()
