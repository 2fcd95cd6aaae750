"""A private temporary directory for sockets that does not outlive its process for long.

A process that is killed cannot clean up. So each directory holds a lock of its owner, which the kernel gives free
whatever way that one dies, and whoever makes the next directory removes those that nobody holds any more.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "gatewright-"
LOCK: Final = "owner.lock"


class OwnedDirectory:
    """Made at once; small blocking calls."""

    def __init__(self) -> None:
        """Raises OSError."""
        remove_ownerless()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Remove it with everything in it. May be called twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def remove_ownerless() -> None:
    """Remove what processes of this user have left behind. Never touches what somebody uses, or what is not ours."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                continue
            # Without a lock it is being made this moment, or is something else.
            lock = os.open(path / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)
