"""A backend that costs as little as Python can: every request gets the same answer. A process of its own.

Prints its port on standard output once it listens. Listens on several loopback addresses with one port, so that every
API can have an upstream of its own.
"""

import argparse
import asyncio
import sys
from typing import cast

import uvloop

BODY = b'{"id": 42, "name": "anvil", "weight": 12.5, "stock": [1, 2, 3]}\n'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
HEAD_END = b"\r\n\r\n"


class Answering(asyncio.Protocol):
    """Answers as many requests as heads have come in; requests have no body."""

    def __init__(self) -> None:
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Nothing to read before the first request."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Usually one whole head."""
        if self._rest:
            data = self._rest + data
        heads = data.count(HEAD_END)
        self._rest = b"" if data.endswith(HEAD_END) else data.rpartition(HEAD_END)[2] if heads else data
        if heads and self._transport is not None:
            self._transport.write(ANSWER * heads)


def addresses(count: int) -> list[str]:
    """127.0.0.1 and `count` - 1 others."""
    return ["127.0.0.1", *(f"127.9.{number // 200}.{number % 200 + 1}" for number in range(count - 1))]


async def serve(count: int) -> None:
    """Until killed, or until standard input ends."""
    loop = asyncio.get_running_loop()
    first, *others = addresses(count)
    server = await loop.create_server(Answering, first, 0)
    port = server.sockets[0].getsockname()[1]
    servers = [server, *[await loop.create_server(Answering, address, port) for address in others]]
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.gather(*(one.serve_forever() for one in servers))


def main() -> None:
    """Read the option, serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--addresses", type=int, default=1)
    uvloop.run(serve(parser.parse_args().addresses))


if __name__ == "__main__":
    main()
