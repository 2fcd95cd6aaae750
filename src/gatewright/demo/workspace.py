"""The demo's folder: private, removed at the end; folders of runs that were killed are removed by the next one.

A running demo holds a lock on its folder, which the kernel releases however the process ends.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final, Self

PREFIX: Final = "gatewright-demo-"
_LOCK: Final = "lock"
_GRACE_S: Final = 60.0
"""A folder without a lock file may be one that is just being made."""


class WorkspaceError(Exception):
    """No folder can be made. The text says what to do."""


class Workspace:
    """The folder of one run. Use as a context manager."""

    def __init__(self, *, keep: bool = False) -> None:
        self._keep = keep
        try:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
            self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise WorkspaceError(
                f"no temporary folder can be made in {tempfile.gettempdir()}: {error.strerror}. "
                "Make room there, or name another folder with TMPDIR"
            ) from error
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._keep:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)

    def write(self, name: str, text: str) -> Path:
        """A file that only this user can read."""
        path = self.path / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return path


def sweep(folder: Path | None = None, *, now: float | None = None) -> int:
    """Remove folders of runs that are over; how many. Those of other users and of running demos stay."""
    root = folder or Path(tempfile.gettempdir())
    removed = 0
    for path in root.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if _is_abandoned(path, now or time.time()):
                shutil.rmtree(path, ignore_errors=True)
                removed += 1
    return removed


def _is_abandoned(path: Path, now: float) -> bool:
    status = path.lstat()
    if path.is_symlink() or not path.is_dir() or status.st_uid != os.geteuid():
        return False
    try:
        descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return now - status.st_mtime > _GRACE_S
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
