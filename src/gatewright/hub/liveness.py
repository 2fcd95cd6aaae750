"""uvicorn's WebSocket protocol with the heartbeat of this wire, which ASGI has no words for.

A PING at every interval whatever else happens; a PONG (any) is a sign of life; a peer silent for longer than the
timeout is closed with 1000 at the next ping. A PONG also proves that everything sent before its PING was read, because
TCP keeps the order: `Heartbeat` tells the application so.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Any, Final, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from gatewright.wire.paths import CLOSE_NORMAL, REASON_SERVER_NORMAL

EXTENSION: Final = "gatewright.heartbeat"
"""Member of the scope's `extensions` that holds the connection's Heartbeat."""

_CLOSE_PATIENCE: Final = 2.0


class Heartbeat:
    """What the application and the heartbeat of one connection tell each other.

    `sent` answers how far the application has sent; `confirmed` is called with such a mark once the peer has
    certainly read up to there. While `silent` answers True no PING is sent and none is missed.
    """

    def __init__(self) -> None:
        self.sent: Callable[[], int] = lambda: 0
        self.confirmed: Callable[[int], None] = lambda _mark: None
        self.silent: Callable[[], bool] = lambda: False


class _RefusingProtocol(WebSocketsSansIOProtocol):
    """Refusals of an upgrade as plain HTTP answers.

    uvicorn does not count such an answer as the end of the handshake and logs an error for each; and it answers 403,
    which gateways take for a refused token, where the application has nothing at that path.
    """

    async def send(self, message: Any) -> None:  # noqa: ANN401 - uvicorn's type of it is private
        if message["type"] == "websocket.close" and not self.handshake_complete and self.initial_response is None:
            await super().send({"type": "websocket.http.response.start", "status": 404, "headers": []})
            message = {"type": "websocket.http.response.body", "body": b"Not Found\n"}
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True


def heartbeat_protocol(interval: float, timeout: float, *, numbered: bool = True) -> type[asyncio.Protocol]:
    """The protocol class for uvicorn's `ws` setting; `interval` and `timeout` in seconds.

    PINGs carry a number unless `numbered` is False: API Manager's are empty.
    """

    class HeartbeatProtocol(_RefusingProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever uvicorn passes
            super().__init__(*args, **kwargs)
            self._heartbeat = Heartbeat()
            self._last_pong = 0.0
            self._count = 0
            self._marks: dict[bytes, int] = {}

        def handle_connect(self, event: Request) -> None:
            super().handle_connect(event)
            # The scope is made in there, the application has not run yet.
            if hasattr(self, "scope"):
                extensions = cast("dict[str, object]", self.scope["extensions"])
                extensions[EXTENSION] = self._heartbeat

        def start_keepalive(self) -> None:
            self._last_pong = self.loop.time()
            self.ping_timer = self.loop.call_later(interval, self._tick)

        def _tick(self) -> None:
            self.ping_timer = None
            if self.close_sent or self.transport.is_closing():
                return
            if self._heartbeat.silent():
                self._last_pong = self.loop.time()
                self.ping_timer = self.loop.call_later(interval, self._tick)
                return
            # Without a PING that waits for its answer the silence is this process's own: it was late.
            if self._marks and self.loop.time() - self._last_pong > timeout:
                self._drop()
                return
            self._count += 1
            payload = struct.pack("!I", self._count & 0xFFFFFFFF) if numbered else b""
            # Unanswered marks are few: the timeout ends the connection after some intervals. Of PINGs that cannot be
            # told apart the earliest counts, because it may be the one that is answered.
            self._marks.setdefault(payload, self._heartbeat.sent())
            self.conn.send_ping(payload)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.ping_timer = self.loop.call_later(interval, self._tick)

        def handle_pong(self, event: Frame) -> None:
            self._last_pong = self.loop.time()
            mark = self._marks.pop(bytes(event.data), None)
            if mark is not None:
                self._heartbeat.confirmed(mark)

        def _drop(self) -> None:
            self.queue.put_nowait(
                {"type": "websocket.disconnect", "code": CLOSE_NORMAL, "reason": REASON_SERVER_NORMAL}
            )
            self.conn.send_close(CLOSE_NORMAL, REASON_SERVER_NORMAL)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.close_timer = self.loop.call_later(_CLOSE_PATIENCE, self.transport.abort)

    return HeartbeatProtocol
