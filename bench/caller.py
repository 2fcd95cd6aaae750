"""One kept-alive HTTP/1.1 connection that asks for a path and reads the status.

Blocking, and run in a thread: a poll costs a tenth of what it would cost on the event loop, and what the poller takes
of the machine is missing to what is measured.
"""

import asyncio
import socket
import threading
import time

from bench.ports import HOST

_LONGEST_ANSWER_S = 10.0
_LARGEST_HEAD = 64 * 1024


class NotAnswered(Exception):
    """Something did not become true in time. The text says what."""


class Caller:
    """Connects when needed, again after the server has closed. `close` it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._rest = b""

    async def until(
        self, status: int, path: str, *, key: str = "", timeout_s: float = 30.0, pause_s: float = 0.001
    ) -> float:
        """Ask until the answer has that status; when it came, as `time.perf_counter`. Raises NotAnswered."""
        given_up = threading.Event()
        try:
            return await asyncio.to_thread(self._until, status, path, key, timeout_s, pause_s, given_up)
        finally:
            given_up.set()

    def status(self, path: str, *, key: str = "") -> int:
        """Status of a GET; 0 when there is no connection or no answer."""
        try:
            return self._ask(path, key)
        except (OSError, ValueError):
            self.close()
            return 0

    @property
    def local_port(self) -> int:
        """This end of the connection; 0 when there is none."""
        return 0 if self._socket is None else int(self._socket.getsockname()[1])

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._rest = b""

    def _until(
        self, status: int, path: str, key: str, timeout_s: float, pause_s: float, given_up: threading.Event
    ) -> float:
        deadline = time.perf_counter() + timeout_s
        while (last := self.status(path, key=key)) != status:
            if time.perf_counter() > deadline or given_up.is_set():
                raise NotAnswered(f"{path} still answers {last or 'nothing'} instead of {status} after {timeout_s:g} s")
            time.sleep(pause_s if last else 0.005)
        return time.perf_counter()

    def _ask(self, path: str, key: str) -> int:
        if self._socket is None:
            self._socket = socket.create_connection((HOST, self._port), timeout=_LONGEST_ANSWER_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        header = f"API-Key: {key}\r\n" if key else ""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n".encode())
        head = self._read_head(self._socket).lower()
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0].strip()
        self._read_body(self._socket, int(length) if length else 0)
        if b"connection: close" in head:
            self.close()
        return int(head[9:12])

    def _read_head(self, connection: socket.socket) -> bytes:
        while b"\r\n\r\n" not in self._rest:
            self._receive(connection)
            if len(self._rest) > _LARGEST_HEAD:
                raise ValueError("the head of an answer does not end")
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        return head

    def _read_body(self, connection: socket.socket, length: int) -> None:
        while len(self._rest) < length:
            self._receive(connection)
        self._rest = self._rest[length:]

    def _receive(self, connection: socket.socket) -> None:
        data = connection.recv(65536)
        if not data:
            raise OSError("the connection was closed")
        self._rest += data
