"""A network of its own for a test: a bridge in a namespace, and a namespace for each Pod on it.

Ports are those of the manifests, and no test meets another. Needs root and `ip`.
"""

import contextlib
import ctypes
import os
import socket
import subprocess
import threading
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

Result = TypeVar("Result")
CLONE_NEWNET = 0x40000000
PREFIX = "10.77.0"
GATEWAY = f"{PREFIX}.1"
"""Address of the bridge: where the test, the hub and backends are."""


class Network:
    """Made and removed with `with`."""

    def __init__(self) -> None:
        self._id = uuid.uuid4().hex[:6]
        self.name = f"gwt-{self._id}"
        self._pods: dict[str, str] = {}

    def __enter__(self) -> Self:
        _ip("netns", "add", self.name)
        _ip("-n", self.name, "link", "set", "lo", "up")
        _ip("-n", self.name, "link", "add", "br0", "type", "bridge")
        _ip("-n", self.name, "addr", "add", f"{GATEWAY}/24", "dev", "br0")
        _ip("-n", self.name, "link", "set", "br0", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for pod in list(self._pods):
            self.remove(pod)
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("netns", "del", self.name)

    def add(self, pod: str) -> tuple[Path, str]:
        """A namespace for a Pod; its path and the Pod's address."""
        number = next(number for number in range(10, 250) if f"{PREFIX}.{number}" not in self._pods.values())
        address = f"{PREFIX}.{number}"
        namespace, link = f"{self.name}-{pod}", f"v{number}"
        _ip("netns", "add", namespace)
        _ip("-n", namespace, "link", "set", "lo", "up")
        _ip("-n", self.name, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _ip("-n", self.name, "link", "set", link, "master", "br0", "up")
        _ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", namespace, "link", "set", "eth0", "up")
        self._pods[pod] = address
        return Path("/run/netns") / namespace, address

    def remove(self, pod: str) -> None:
        """Take a Pod's namespace away."""
        self._pods.pop(pod)
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("netns", "del", f"{self.name}-{pod}")

    def command(self, *arguments: str) -> list[str]:
        """A command line that runs on the bridge."""
        return ["ip", "netns", "exec", self.name, *arguments]

    def inside(self, action: Callable[[], Result]) -> Result:
        """Do something in a thread whose sockets belong to this network."""
        outcome: list[Any] = []

        def run() -> None:
            try:
                _enter(Path("/run/netns") / self.name)
                outcome.append(action())
            except BaseException as error:  # noqa: BLE001 - raised again where it was asked for
                outcome.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join()
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        result: Result = outcome[0]
        return result

    @contextlib.contextmanager
    def forwarding(self, port: int, target: tuple[str, int]) -> Iterator[None]:
        """Connections to `port` of the bridge reach `target`, an address outside this network."""
        with self._answering(port, lambda _: socket.create_connection(target)):
            yield

    @contextlib.contextmanager
    def tunnel(self, port: int) -> Iterator[str]:
        """An HTTP proxy on the bridge, for CONNECT alone, to wherever this machine reaches; its URL."""
        beyond = urllib.parse.urlsplit(urllib.request.getproxies().get("https", ""))

        def dial(inner: socket.socket) -> socket.socket:
            if beyond.hostname:
                return socket.create_connection((beyond.hostname, beyond.port or 80))
            head = b""
            while b"\r\n\r\n" not in head and (data := inner.recv(1)):
                head += data
            host, _, number = head.split()[1].decode().rpartition(":")
            outer = socket.create_connection((host, int(number)))
            inner.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            return outer

        with self._answering(port, dial):
            yield f"http://{GATEWAY}:{port}"

    @contextlib.contextmanager
    def _answering(self, port: int, dial: Callable[[socket.socket], socket.socket]) -> Iterator[None]:
        """Who connects to `port` of the bridge is joined with what `dial` connects to."""
        listening = self.inside(lambda: socket.create_server((GATEWAY, port)))

        def join(inner: socket.socket) -> None:
            try:
                outer = dial(inner)
            except (OSError, ValueError, IndexError):
                inner.close()
                return
            threading.Thread(target=_copy, args=(outer, inner), daemon=True).start()
            _copy(inner, outer)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    inner, _ = listening.accept()
                    threading.Thread(target=join, args=(inner,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield
        finally:
            # A thread that waits in accept() is woken by a shutdown, not by a close.
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """One direction; when it ends, the other one does, and closes what it reads from."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
    source.close()


def _enter(namespace: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(namespace, os.O_RDONLY)
    try:
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=30)


def why_not() -> str:
    """Why there can be no such network; empty when there can."""
    try:
        with Network() as network:
            network.add("probe")
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no network namespaces here ({error})"
    return ""
