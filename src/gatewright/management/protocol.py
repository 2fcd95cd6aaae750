"""HTTP/1.1 of uvicorn with bounds on clients that are slow or too many.

uvicorn bounds the size of a head and the pause between two requests, but not the time that a head takes, nor the time
that the rest of a refused body takes. Bodies that are read are bounded where they are read (`requests.py`).
"""

import asyncio
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_TIMEOUT_S = 30.0
"""From the connection, or from the first byte of a further request, to the end of the head; as the original."""

MOST_CONNECTIONS = 1000
"""More are answered 503; of twice as many nothing is read."""

MOST_HEAD_BYTES = 64 * 1024
"""Of a request line with all headers."""

LINGER_S = 2.0
"""How long a client that is still talking may take to read why it is not listened to any more."""

_TOO_SLOW = "the request did not arrive in time"
_TOO_LARGE = "the head of the request is too large"


class BoundedProtocol(H11Protocol):
    """One connection."""

    head_timeout_s = HEAD_TIMEOUT_S
    _timer: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn narrows it
        """Refuse a connection beyond the bound; else expect a head."""
        super().connection_made(transport)
        if len(self.connections) > 2 * MOST_CONNECTIONS:
            transport.abort()
            return
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Expect the rest of what has begun. What comes after a refusal is thrown away."""
        if self._refused:
            return
        super().data_received(data)
        if not self._refused:
            self._watch(head_begun=True)

    def send_400_response(self, msg: str) -> None:
        """What is no request gets an answer that it can read, which it could not if the rest stayed unread."""
        too_large = len(self.conn.trailing_data[0]) > MOST_HEAD_BYTES
        self._refuse(431 if too_large else 400, _TOO_LARGE if too_large else msg)

    def on_response_complete(self) -> None:
        """A refused request may have a body on its way, and the next head may have begun."""
        super().on_response_complete()
        self._watch(head_begun=bool(self.conn.trailing_data[0]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._relax()
        super().connection_lost(exc)

    def _watch(self, *, head_begun: bool) -> None:
        in_head = self.conn.their_state is h11.IDLE and head_begun
        in_refused_body = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
        if in_head or in_refused_body:
            self._expect()
        else:
            self._relax()

    def _expect(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.head_timeout_s, self._timed_out)

    def _relax(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed_out(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            self._refuse(408, _TOO_SLOW)
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Answer, close our half, and the other one when the client has gone or after a while."""
        self._refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            # Broken in its body: whoever is answering it finds the client gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.close()
            return
        body = b'{"message":"%s","status":"error"}\n' % message.encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        reason = HTTPStatus(status).phrase.encode()
        for event in (
            h11.Response(status_code=status, headers=headers, reason=reason),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.write_eof()
        self.flow.resume_reading()
        self._relax()
        self._timer = self.loop.call_later(LINGER_S, self.transport.close)
