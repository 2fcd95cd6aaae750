"""A TCP relay that can be silenced: bytes are taken and go nowhere, as with a dead peer behind a proxy."""

import contextlib
import socket
import threading
from collections.abc import Callable


class Relay:
    """Listens on a free port of loopback and passes everything on to `target` (a port there)."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._silent = threading.Event()
        self._closed = False
        self.on_bytes: Callable[[bytes, bool], bool] = lambda _data, _from_client: True
        """Asked for each piece; False: the piece is lost and its connection is cut."""
        self._threads: list[threading.Thread] = []
        self._spawn(self._accept)

    def silence(self) -> None:
        """From now on nothing gets through, and nobody is told."""
        self._silent.set()

    def speak(self) -> None:
        """New connections get through again."""
        self.cut()
        self._silent.clear()

    def cut(self) -> None:
        """End all connections."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _end(end)

    def close(self) -> None:
        """End the relay."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def _spawn(self, target: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            self._pairs.append((client, server))
            self._spawn(self._pass_on, client, server, True)
            self._spawn(self._pass_on, server, client, False)

    def _pass_on(self, source: socket.socket, sink: socket.socket, from_client: bool) -> None:
        with source, contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._silent.is_set():
                    continue
                if not self.on_bytes(data, from_client):
                    break
                sink.sendall(data)
            if not self._silent.is_set():
                _end(source)
                _end(sink)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
