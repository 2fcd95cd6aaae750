"""Where gateways connect: always upgraded, then acknowledged or closed with 4401; events out, acknowledgements in."""

import uuid
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from gatewright.hub.apim import outcomes
from gatewright.hub.apim.services import Services
from gatewright.hub.connections import GatewayConnection
from gatewright.hub.conversation import converse
from gatewright.hub.gateways import Caller
from gatewright.hub.liveness import EXTENSION, Heartbeat
from gatewright.observability.logging import get_logger
from gatewright.wire.acks import CONNECTION_ACK, DEPLOYMENT_ACK, decode_deployment_ack
from gatewright.wire.codec import encode
from gatewright.wire.envelope import decode_envelope
from gatewright.wire.failures import Undecodable
from gatewright.wire.paths import CLOSE_NORMAL, CLOSE_UNAUTHENTICATED, TOKEN_HEADER
from gatewright.wire.times import Timestamp

NO_KEY: Final = "API key is required. Provide 'api-key' header."
WRONG_KEY: Final = "Invalid or expired API key"
REPLACED: Final = "replaced by a newer connection"

_log = get_logger(__name__)


class PlatformSocket:
    """The WebSocket endpoint."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def endpoint(self, websocket: WebSocket) -> None:
        """One connection from its upgrade to its end."""
        mode = self._services.fault(websocket, "ws_reject")
        if mode == "401":
            await websocket.send_denial_response(Response("Unauthorized", 401, media_type="text/plain"))
            return
        presented = websocket.headers.get(TOKEN_HEADER, "").strip()
        try:
            caller = await self._services.gateway(presented)
        except SQLAlchemyError as error:
            _log.error("cannot check a token", cause=str(getattr(error, "orig", error)))
            await websocket.send_denial_response(Response("Service Unavailable", 503, media_type="text/plain"))
            return
        await websocket.accept()
        if caller is None or mode == "4401":
            await websocket.close(CLOSE_UNAUTHENTICATED, WRONG_KEY if presented else NO_KEY)
            return
        try:
            await self._serve(websocket, caller, mode)
        except WebSocketDisconnect:
            pass
        except SQLAlchemyError as error:
            _log.error("cannot serve a gateway", gateway=caller.gateway_id, cause=str(getattr(error, "orig", error)))

    async def _serve(self, websocket: WebSocket, caller: Caller, mode: str) -> None:
        connections = self._services.connections
        connection = self._connection(websocket, caller)
        heartbeat: Heartbeat = websocket.scope["extensions"][EXTENSION]
        heartbeat.sent = lambda: connection.cursor
        heartbeat.confirmed = lambda seq: connections.confirm(connection, seq)
        heartbeat.silent = lambda: mode == "no_pings"
        # Registered before anything else is waited for, so that whatever closes connections finds it.
        connections.add(connection)
        try:
            await connections.close_where(
                lambda other: other.gateway_id == caller.gateway_id and other is not connection, REPLACED
            )
            if not await connections.place(connection):
                await websocket.close(CLOSE_UNAUTHENTICATED, WRONG_KEY)
                return
            if mode == "no_ack":
                await _ended(websocket)
                return
            await websocket.send_text(self._first_message(connection, mode))
            _log.info("gateway connected", gateway=connection.gateway_id, connection=connection.connection_id)
            await converse(
                websocket,
                connection,
                following=connection.follow(self._services.store, self._services.config.send_timeout),
                take=lambda text: self._take(text, connection),
            )
        finally:
            connections.remove(connection)
            _log.info("gateway disconnected", gateway=connection.gateway_id, connection=connection.connection_id)

    def _connection(self, websocket: WebSocket, caller: Caller) -> GatewayConnection:
        async def send(text: str) -> None:
            await websocket.send_text(text)
            if self._services.switches.use("duplicate_events") == "on":
                await websocket.send_text(text)

        async def close(reason: str) -> None:
            await websocket.close(CLOSE_NORMAL, reason)

        return GatewayConnection(
            connection_id=str(uuid.uuid4()),
            gateway_id=caller.gateway_id,
            token_id=caller.token_id,
            since_ms=self._services.clock() // 1_000_000,
            send=send,
            close=close,
        )

    def _first_message(self, connection: GatewayConnection, mode: str) -> str:
        message = {
            "type": "connection.hello" if mode == "wrong_first" else CONNECTION_ACK,
            "gatewayId": connection.gateway_id,
            "connectionId": connection.connection_id,
            "timestamp": Timestamp(self._services.clock()).text(),
        }
        return encode(message).decode()

    async def _take(self, text: str, connection: GatewayConnection) -> None:
        """One message of a gateway. Whatever it holds, the connection stays."""
        envelope = decode_envelope(text)
        if isinstance(envelope, Undecodable) or envelope.type != DEPLOYMENT_ACK:
            _log.debug("message that is no acknowledgement", gateway=connection.gateway_id, size=len(text))
            return
        ack = decode_deployment_ack(envelope)
        if isinstance(ack, Undecodable):
            _log.error("malformed acknowledgement", gateway=connection.gateway_id, error=str(ack))
            return
        try:
            await self._services.store.write(lambda unit: outcomes.keep(unit, connection.gateway_id, ack))
        except SQLAlchemyError as error:
            _log.error("cannot keep an acknowledgement", cause=str(getattr(error, "orig", error)))


async def _ended(websocket: Any) -> None:  # noqa: ANN401 - only its messages matter
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
