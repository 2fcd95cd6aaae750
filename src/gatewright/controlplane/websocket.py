"""One WebSocket as the protocol wants it: no compression, no redirects, no pings of our own, those of the peer told.

Source: control-plane protocol reference 1.5, 1.8.
"""

import ssl
from collections.abc import Callable
from typing import Any, Final

import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.frames import Frame, Opcode

from gatewright.controlplane.network import network_problem
from gatewright.controlplane.problems import Problem, upgrade_failed, upgrade_refused
from gatewright.controlplane.rest import ERROR_LIMIT, USER_AGENT
from gatewright.controlplane.signals import OpenFailed
from gatewright.controlplane.words import error_words, quoted, retry_after
from gatewright.wire.paths import HANDSHAKE_TIMEOUT, PERMANENT_STATUSES, TOKEN_HEADER

MAX_FRAME: Final = 16 * 1_048_576
"""Bytes of one message. Platform API publishes at most 1 MiB."""

_CLOSE_TIMEOUT: Final = 2.0
_GOODBYE: Final = 0.5
"""Seconds that the peer gets to end the TCP connection after its own close frame."""

OPEN_ERRORS = (OSError, WebSocketException, ValueError)
"""What `open_socket` may raise: network, TLS and time, the handshake, an address or proxy that cannot be used."""


async def open_socket(url: str, token: str, context: ssl.SSLContext, on_ping: Callable[[], None]) -> ClientConnection:
    """Connect and upgrade within 10 s; a proxy is taken from the environment. Raises OPEN_ERRORS."""

    def make(*args: Any, **options: Any) -> ClientConnection:  # noqa: ANN401 - passed through
        return _Watched(*args, on_ping=on_ping, **options)

    return await _Straight(
        url,
        additional_headers={TOKEN_HEADER: token},
        user_agent_header=USER_AGENT,
        compression=None,
        open_timeout=HANDSHAKE_TIMEOUT,
        ping_interval=None,
        ping_timeout=None,
        close_timeout=_CLOSE_TIMEOUT,
        max_size=MAX_FRAME,
        ssl=context,
        create_connection=make,  # type: ignore[arg-type]  # a factory serves as well as the class
    )


def open_failure(attempt: int, error: Exception, host: str) -> OpenFailed:
    """Why there is no connection."""
    if isinstance(error, InvalidStatus):
        response = error.response
        status = response.status_code
        words = error_words(bytes(response.body or b"")[:ERROR_LIMIT])
        refused = status in PERMANENT_STATUSES
        problem = upgrade_refused(status, words) if refused else upgrade_failed(status, words)
        return OpenFailed(attempt, problem, status, retry_after(response.headers.get("Retry-After", "")))
    if isinstance(error, WebSocketException) and not isinstance(error.__cause__, OSError | EOFError):
        what = f"{host} does not answer as a WebSocket server: {quoted(str(error))}"
        return OpenFailed(attempt, Problem("LINK_NOT_UPGRADED", what, "Check what listens there, and the proxy."))
    return OpenFailed(attempt, network_problem(error, host))


class _Straight(connect):
    """Never follows a redirect: the token must not reach another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _Watched(ClientConnection):
    """Tells of every PING, which the library answers; ends the TCP connection after a CLOSE if the peer does not."""

    def __init__(self, *args: Any, on_ping: Callable[[], None], **options: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(*args, **options)
        self._on_ping = on_ping

    def process_event(self, event: websockets.protocol.Event) -> None:
        super().process_event(event)
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self._on_ping()
        elif isinstance(event, Frame) and event.opcode is Opcode.CLOSE:
            self.loop.call_later(_GOODBYE, self.transport.abort)
