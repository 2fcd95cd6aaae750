"""Closes sockets that the HTTP library leaves open when a call ends in the middle of a TLS handshake.

Its own time limit closes them; a cancellation, which every outer limit is, does not: the socket would stay until the
garbage collector comes. The library's trace shows what is needed.
"""

from collections.abc import Awaitable, Callable
from typing import Any

Trace = Callable[[str, dict[str, Any]], Awaitable[None]]


def closing_trace() -> Trace:
    """The `trace` extension of one request."""
    streams: list[Any] = []

    async def trace(event: str, info: dict[str, Any]) -> None:
        match event:
            case "connection.connect_tcp.complete":
                streams.append(info["return_value"])
            case "connection.start_tls.complete":
                streams.clear()
            case "connection.start_tls.failed":
                while streams:
                    await streams.pop().aclose()

    return trace
