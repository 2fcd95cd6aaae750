"""One hub per data directory, kept so by a lock that the kernel releases when the process ends, however it ends."""

import fcntl
import os
from pathlib import Path

from gatewright.hub.problems import HubStartError

DATABASES = {"hub.db": "a hub", "api-manager.db": "a stand-in API Manager"}
"""Database file → who keeps it. Two of them in one directory would take each other's administrator."""


def refuse_foreign(data_dir: Path, mine: str) -> None:
    """Raises HubStartError for a directory that another kind of hub has used."""
    for name, owner in DATABASES.items():
        if name != mine and (data_dir / name).exists():
            raise HubStartError(
                "HUB_DATA_DIR_OF_ANOTHER",
                f"The data directory {data_dir} belongs to {owner}. Choose another with --data-dir.",
            )


class DirectoryLock:
    """Exclusive use of a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "hub.lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, making the directory (readable by its owner only) if needed. Raises HubStartError."""
        directory = self._path.parent
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HubStartError(
                "HUB_DATA_DIR_UNUSABLE",
                f"The data directory {directory} cannot be used: {error.strerror}. "
                "Choose another or correct its rights.",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise HubStartError(
                "HUB_DATA_DIR_IN_USE",
                f"Another hub{f' (process {holder})' if holder else ''} uses the data directory {directory}. "
                "Stop it, or give this one another data directory.",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back. Harmless when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
