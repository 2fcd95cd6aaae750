"""What the kernel says of a process: resident memory in bytes, CPU time in seconds. Linux only, like the gateway."""

import asyncio
import contextlib
import os
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> int:
    """Resident memory, without pages that are only mapped from files (program text). Bytes."""
    _, whole, shared = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[:3]
    return (int(whole) - int(shared)) * PAGE_BYTES


def cpu(pid: int) -> float:
    """User and system time of all threads until now. Seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def child_called(parent: int, name: str) -> int | None:
    """The child of a process with that program name, or None."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = status.read_text(encoding="ascii", errors="replace").rpartition(")")
        except OSError:
            continue
        if int(tail.split()[1]) == parent and head.partition("(")[2] == name:
            return int(status.parent.name)
    return None


def holds(pid: int, peer_port: int) -> bool:
    """Whether a process has the other end of an IPv4 connection from that port."""
    wanted = f":{peer_port:04X}"
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    inodes = {f"socket:[{fields[9]}]" for fields in map(str.split, lines) if fields[2].endswith(wanted)}
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(descriptor.readlink()) in inodes:
                return True
    return False


async def settled(pid: int, *, quiet_s: float = 1.5, timeout_s: float = 15.0, share: float = 0.002) -> int:
    """Resident memory once it has changed by less than `share` for `quiet_s` seconds. Bytes."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    last, since = resident(pid), loop.time()
    while loop.time() - since < quiet_s and loop.time() < deadline:
        await asyncio.sleep(0.1)
        now = resident(pid)
        if abs(now - last) > share * last:
            last, since = now, loop.time()
    return resident(pid)
