"""A TCP proxy that makes the way longer: what is sent arrives later, in either direction. A process of its own.

Prints its port on standard output once it listens. SIGUSR1 stops the traffic, and starts it again: what has gathered
meanwhile arrives at once. Bytes go through in order and without a limit of throughput, so a
request and its answer take one round trip more than without it, and what is under way at the same time does not add up.
"""

import argparse
import asyncio
import contextlib
import signal
import sys

import uvloop

from bench.ports import HOST

_CHUNK = 65_536
_MOST_UNDER_WAY = 256
"""Pieces under way in one direction from which on no more are taken."""


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float, opened: asyncio.Event
) -> None:
    """One direction, to its end."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_UNDER_WAY)

    async def take() -> None:
        data = b"?"
        while data:
            data = await reader.read(_CHUNK)
            await under_way.put((loop.time() + delay_s, data))

    taking = asyncio.create_task(take())
    try:
        while True:
            due, data = await under_way.get()
            await opened.wait()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                return
            writer.write(data)
            await writer.drain()
    finally:
        taking.cancel()
        writer.close()


async def serve(target: int, delay_s: float) -> None:
    """Until killed. `delay_s` is the delay of one direction."""
    opened = asyncio.Event()
    opened.set()
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGUSR1, lambda: opened.clear() if opened.is_set() else opened.set()
    )

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(HOST, target)
            ways = _carry(reader, back, delay_s, opened), _carry(there, writer, delay_s, opened)
            await asyncio.gather(*ways, return_exceptions=True)
        writer.close()

    server = await asyncio.start_server(connected, HOST, 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    """Read the options, serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=int, required=True, help="port on loopback")
    parser.add_argument("--round-trip-ms", type=float, required=True, help="what a request and its answer take longer")
    options = parser.parse_args()
    uvloop.run(serve(options.to, options.round_trip_ms / 2000))


if __name__ == "__main__":
    main()
