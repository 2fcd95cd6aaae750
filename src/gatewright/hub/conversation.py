"""A connected gateway's socket: events out and messages in, side by side."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from starlette.websockets import WebSocket, WebSocketDisconnect

from gatewright.hub.connections import GatewayConnection
from gatewright.observability.logging import get_logger
from gatewright.wire.paths import REASON_SERVER_NORMAL

_log = get_logger(__name__)


async def converse(
    websocket: WebSocket,
    connection: GatewayConnection,
    *,
    following: Coroutine[None, None, None],
    take: Callable[[str], Awaitable[None]],
) -> None:
    """Until the gateway leaves or cannot be sent to; `following` sends events, `take` gets each message."""
    writing = asyncio.create_task(following, name="hub-events")
    reading = asyncio.create_task(_read(websocket, take), name="hub-acknowledgements")
    try:
        await asyncio.wait({writing, reading}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (writing, reading):
            task.cancel()
        ended = await asyncio.gather(writing, reading, return_exceptions=True)
    failure = ended[0]
    if failure is not None and not isinstance(failure, asyncio.CancelledError | WebSocketDisconnect):
        # Closed so that the gateway comes back and is sent again what it may have missed.
        _log.warning("cannot send to a gateway", gateway=connection.gateway_id, error=repr(failure))
        await connection.close(REASON_SERVER_NORMAL)


async def _read(websocket: WebSocket, take: Callable[[str], Awaitable[None]]) -> None:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if text is not None:
            await take(text)
