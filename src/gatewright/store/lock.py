"""One process per data directory: an advisory lock on a file beside the database.

The kernel gives the lock free when its owner dies, whatever way, so a left-over file never blocks a start.
"""

import errno
import fcntl
import os
from pathlib import Path

from gatewright.store.errors import StoreInUse, StoreUnavailable


class FileLock:
    """Held from construction until `release`. The file holds the owner's process id, for people."""

    def __init__(self, path: Path) -> None:
        """Raises StoreInUse, StoreUnavailable."""
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise StoreUnavailable(
                f"cannot make the lock file {path}: {problem.strerror}",
                "Make the data directory writable for this user, or set another storage path.",
            ) from problem
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            owner = _owner(self._descriptor)
            os.close(self._descriptor)
            if problem.errno not in {errno.EACCES, errno.EAGAIN}:
                raise StoreUnavailable(
                    f"cannot lock {path}: {problem.strerror}", "Use a file system that supports locks."
                ) from problem
            by = f"process {owner}" if owner else "another process"
            raise StoreInUse(
                f"the data directory {path.parent} is in use by {by}",
                "Stop that process first, or give this one its own storage path.",
                owner,
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the lock free. The file stays: removing it would let two processes hold two different locks."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def lock_of(database: Path) -> Path:
    """The lock file of a database file."""
    return database.with_name(f"{database.name}.lock")


def _owner(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdigit() else None
