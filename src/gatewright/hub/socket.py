"""Where gateways connect: the checks, the acknowledgement, then events out and acknowledgements in.

Reference: control-plane protocol, section 6.3. The order of checks is part of the wire.
"""

import uuid
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from gatewright.hub import deployments, gateways
from gatewright.hub.connections import GatewayConnection
from gatewright.hub.conversation import converse
from gatewright.hub.deployments import AckOutcome
from gatewright.hub.liveness import EXTENSION, Heartbeat
from gatewright.hub.rate_limit import SlidingWindow
from gatewright.hub.services import Services
from gatewright.hub.watching import Touched
from gatewright.observability.logging import get_logger
from gatewright.wire.acks import DEPLOYMENT_ACK, decode_deployment_ack, encode_connection_ack
from gatewright.wire.envelope import decode_envelope
from gatewright.wire.errors import capacity_message, public_error
from gatewright.wire.failures import Undecodable
from gatewright.wire.paths import CLOSE_NORMAL, JSON_TYPE, REASON_SERVER_NORMAL, TOKEN_HEADER
from gatewright.wire.times import Timestamp

_log = get_logger(__name__)


class GatewaySocket:
    """The WebSocket endpoint."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._attempts = SlidingWindow(services.config.connects_per_minute)

    async def endpoint(self, websocket: WebSocket) -> None:
        """One connection from its upgrade to its end."""
        admitted = await self.admit(websocket)
        if isinstance(admitted, Response):
            await websocket.send_denial_response(admitted)
            return
        await websocket.accept()
        limit = self._services.config.max_connections
        if self._services.connections.total >= limit:
            # The original drops the TCP connection after this text, without a close frame.
            await websocket.send_text(capacity_message(limit))
            return
        await self._serve(websocket, admitted)

    async def admit(self, request: Any) -> gateways.Caller | Response:  # noqa: ANN401 - WebSocket or plain request
        """The caller behind an attempt to connect, or the answer that refuses it."""
        address = request.client.host if request.client is not None else ""
        if not self._attempts.admit(address, self._services.clock()):
            message = "Connection rate limit exceeded. Please try again later."
            return _refusal(429, "TOO_MANY_REQUESTS", message)
        presented = request.headers.get(TOKEN_HEADER, "")
        caller: gateways.Caller | None = None
        if presented:
            try:
                caller = await self._services.store.read(
                    lambda connection: gateways.authenticate(connection, presented)
                )
            except SQLAlchemyError as error:
                # The original says 401, which ends the gateway's process; this is not the gateway's fault.
                _log.error("cannot check a token", cause=str(getattr(error, "orig", error)))
                return _refusal(503, "STORAGE_UNAVAILABLE", "The hub cannot check tokens now.")
        if caller is None:
            _log.warning("refused a connection without a valid token", address=address)
            return _refusal(401, "UNAUTHORIZED", "Invalid or expired credentials.")
        return caller

    async def _serve(self, websocket: WebSocket, caller: gateways.Caller) -> None:
        services = self._services

        async def close(reason: str) -> None:
            await websocket.close(CLOSE_NORMAL, reason)

        connection = GatewayConnection(
            connection_id=str(uuid.uuid4()),
            gateway_id=caller.gateway_id,
            token_id=caller.token_id,
            since_ms=services.clock() // 1_000_000,
            send=websocket.send_text,
            close=close,
        )
        heartbeat: Heartbeat = websocket.scope["extensions"][EXTENSION]
        heartbeat.sent = lambda: connection.cursor
        heartbeat.confirmed = lambda seq: services.connections.confirm(connection, seq)
        # Registered before anything else is waited for: the capacity is exact, and a revocation finds it.
        services.connections.add(connection)
        try:
            if not await services.connections.place(connection):
                await close(REASON_SERVER_NORMAL)
                return
            at = Timestamp(services.clock())
            # Before the first event: a gateway takes anything else in first place for a failed attempt.
            await websocket.send_text(encode_connection_ack(connection.gateway_id, connection.connection_id, at))
            _log.info("gateway connected", gateway=connection.gateway_id, connection=connection.connection_id)
            await converse(
                websocket,
                connection,
                following=connection.follow(self._services.store, self._services.config.send_timeout),
                take=lambda text: self._take(text, connection),
            )
        except WebSocketDisconnect:
            pass
        except SQLAlchemyError as error:
            _log.error("cannot serve a gateway", gateway=caller.gateway_id, cause=str(getattr(error, "orig", error)))
        finally:
            services.connections.remove(connection)
            _log.info("gateway disconnected", gateway=connection.gateway_id, connection=connection.connection_id)

    async def _take(self, text: str, connection: GatewayConnection) -> None:
        """One message of a gateway. Whatever it holds, the connection stays."""
        envelope = decode_envelope(text)
        if isinstance(envelope, Undecodable):
            _log.warning("malformed message", gateway=connection.gateway_id, error=str(envelope), size=len(text))
            return
        if envelope.type != DEPLOYMENT_ACK:
            _log.debug("message of another type", gateway=connection.gateway_id, size=len(text))
            return
        ack = decode_deployment_ack(envelope)
        if isinstance(ack, Undecodable):
            _log.error("malformed acknowledgement", gateway=connection.gateway_id, error=str(ack))
            return
        try:
            outcome = await self._services.store.write(
                lambda unit: deployments.apply_ack(unit, connection.gateway_id, ack)
            )
        except SQLAlchemyError as error:
            _log.error("cannot keep an acknowledgement", cause=str(getattr(error, "orig", error)))
            return
        if outcome is AckOutcome.APPLIED:
            self._services.watchers.tell(Touched(gateway_id=connection.gateway_id, artifact_id=ack.artifact_id))
        else:
            _log.info("acknowledgement without effect", gateway=connection.gateway_id, outcome=outcome.value)


def _refusal(status: int, code: str, message: str) -> Response:
    return Response(public_error(code, message), status, media_type=JSON_TYPE)
