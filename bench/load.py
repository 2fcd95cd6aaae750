"""A closed-loop HTTP/1.1 load generator for one URL, run as a process of its own.

Every connection keeps one request in flight. Prints one JSON object: requests, failures, seconds, percentiles in ms.
Bodies must all have the same length, which is learned from the first answer.
"""

import argparse
import asyncio
import json
import sys
import time
from typing import cast

import uvloop

HEAD_END = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection that sends again as soon as the answer is complete."""

    def __init__(self, request: bytes, totals: "Totals") -> None:
        self._request = request
        self._totals = totals
        self._buffer = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Count complete answers."""
        buffer = self._buffer + data if self._buffer else data
        head = buffer.find(HEAD_END)
        if head < 0:
            self._buffer = buffer
            return
        end = head + 4 + body_length(buffer[:head])
        if len(buffer) < end:
            self._buffer = buffer
            return
        self._buffer = b""
        self._totals.add(buffer[9:12], time.perf_counter() - self._sent)
        if self._totals.running:
            self._send()
        elif self._transport is not None:
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        """The server closed, or the time is up."""
        if self._totals.running:
            self._totals.failed += 1
        if not self.lost.done():
            self.lost.set_result(None)

    def _send(self) -> None:
        assert self._transport is not None
        self._sent = time.perf_counter()
        self._transport.write(self._request)


def body_length(head: bytes) -> int:
    """Value of content-length; other framing is not expected from the benchmark's backend."""
    start = head.lower().find(b"content-length:")
    if start < 0:
        return 0
    return int(head[start + 15 :].split(b"\r\n", 1)[0])


class Totals:
    """What all connections counted."""

    def __init__(self, wanted: bytes) -> None:
        self.running = True
        self.answered = 0
        self.failed = 0
        self.statuses: dict[str, int] = {}
        self.latencies: list[float] = []
        self._wanted = wanted

    def add(self, status: bytes, seconds: float) -> None:
        """One complete answer."""
        self.answered += 1
        if status != self._wanted:
            self.failed += 1
            name = status.decode("latin-1")
            self.statuses[name] = self.statuses.get(name, 0) + 1
        self.latencies.append(seconds)


async def run(options: argparse.Namespace) -> dict[str, object]:
    """Load until the time is up, or until a line arrives on standard input."""
    headers = "".join(f"{line}\r\n" for line in options.header)
    request = f"GET {options.path} HTTP/1.1\r\nHost: {options.host_header}\r\n{headers}\r\n".encode()
    totals = Totals(options.status.encode())
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: Connection(request, totals), options.host, options.port))[1]
        for _ in range(options.connections)
    ]
    started = time.perf_counter()
    if options.until_stdin:
        await loop.run_in_executor(None, sys.stdin.readline)
    else:
        await asyncio.sleep(options.seconds)
    seconds = time.perf_counter() - started
    totals.running = False
    await asyncio.wait([connection.lost for connection in connections], timeout=5)
    ordered = sorted(totals.latencies) or [0.0]
    return {
        "requests": totals.answered,
        "failed": totals.failed,
        "statuses": totals.statuses,
        "seconds": seconds,
        "rate": totals.answered / seconds,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000,
    }


def main() -> None:
    """Read the options, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--host-header", default="localhost")
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--status", default="200")
    parser.add_argument("--until-stdin", action="store_true")
    print(json.dumps(uvloop.run(run(parser.parse_args()))))


if __name__ == "__main__":
    main()
