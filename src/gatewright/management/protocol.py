"""HTTP/1.1 of uvicorn with bounds on clients that are slow or too many.

uvicorn bounds the size of a head and the pause between two requests, but not the time that a head takes, nor the time
that the rest of a refused body takes. Bodies that are read are bounded where they are read (`requests.py`).
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_TIMEOUT_S = 30.0
"""From the connection, or from the first byte of a further request, to the end of the head; as the original."""

MOST_CONNECTIONS = 1000
"""More are answered 503; of twice as many nothing is read."""

_TIMED_OUT = b'{"message":"the request did not arrive in time","status":"error"}\n'


class BoundedProtocol(H11Protocol):
    """One connection."""

    head_timeout_s = HEAD_TIMEOUT_S
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn narrows it
        """Refuse a connection beyond the bound; else expect a head."""
        super().connection_made(transport)
        if len(self.connections) > 2 * MOST_CONNECTIONS:
            transport.abort()
            return
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Expect the rest of what has begun."""
        super().data_received(data)
        self._watch(head_begun=True)

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
            self._tell()
        self.transport.close()

    def _tell(self) -> None:
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(_TIMED_OUT)).encode()),
            (b"connection", b"close"),
        ]
        for event in (
            h11.Response(status_code=408, headers=headers, reason=b"Request Timeout"),
            h11.Data(data=_TIMED_OUT),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
