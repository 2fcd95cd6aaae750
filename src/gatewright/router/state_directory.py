"""Where a router keeps things: its id, its last good snapshot, its sockets. One router at a time, owner only."""

import fcntl
import os
import secrets
import shutil
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from gatewright.router.bootstrap import NODE_ID
from gatewright.router.errors import PortTaken, StateDirectoryTaken, StateDirectoryUnusable
from gatewright.router.owned_directory import OwnedDirectory
from gatewright.xds.server import MAX_PATH

LOCK: Final = "router.lock"
IDENTITY: Final = "router-id"
SNAPSHOT: Final = "last-good.snapshot"
LONGEST_SOCKET: Final = "/admin.sock"


class StateDirectory:
    """An opened state directory; holds its lock until `close`. Small blocking calls, made at start and stop only."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateDirectoryUnusable(
                f"the state directory {self.path} cannot be used: {error.strerror};"
                " choose another one with gatewright.data_dir or gatewright.snapshot_dir"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise StateDirectoryTaken(
                f"another router runs on {self.path}; stop it, or give this one a directory of its own"
            ) from error
        self._outside: OwnedDirectory | None = None
        self.run = self._make_run()

    @property
    def snapshot(self) -> Path:
        """File of the last good snapshot."""
        return self.path / SNAPSHOT

    def identity(self, wanted: str) -> str:
        """The router's id: `wanted`, or one made at the first start and kept."""
        if wanted:
            return wanted
        file = self.path / IDENTITY
        with suppress(OSError, UnicodeDecodeError):
            kept = file.read_text(encoding="ascii").strip()
            if kept:
                return kept
        made = f"{NODE_ID}-{secrets.token_hex(4)}"
        file.write_text(made + "\n", encoding="ascii")
        return made

    def close(self) -> None:
        """Remove the sockets and let go of the lock."""
        shutil.rmtree(self.run, ignore_errors=True)
        if self._outside is not None:
            self._outside.close()
        os.close(self._lock)

    def _make_run(self) -> Path:
        """A private directory for sockets: inside, unless paths of Unix sockets would become too long."""
        inside = self.path / "run"
        if len(os.fsencode(inside)) + len(LONGEST_SOCKET) > MAX_PATH:
            self._outside = OwnedDirectory()
            return self._outside.path
        shutil.rmtree(inside, ignore_errors=True)
        inside.mkdir(mode=0o700)
        return inside


def check_port(address: str, port: int) -> None:
    """PortTaken when another process listens there. Envoys of one user would otherwise share the port in silence."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            raise PortTaken(
                f"cannot listen on {address}:{port}: {error.strerror}; stop what uses it, or configure another port"
            ) from error
