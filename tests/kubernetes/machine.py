"""A machine of its own for a cluster: the host's file system, but processes, mounts and network that nobody else sees.

When it ends, everything in it ends: processes, containers, mounts and rules of the packet filter. Needs root.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from deploy_network import Network

WITH_US = ("setpriv", "--pdeathsig")
"""Before a signal and a command: it ends when the tests end, however they do."""
_CGROUPS = Path("/sys/fs/cgroup")
_FIXED = ("/var/lib", "/var/log")
"""Where kubelet and CNI plug-ins write to whatever they are told: what they write is seen in the machine alone."""
_TUNABLES = {
    "vm/overcommit_memory": 1, "vm/panic_on_oom": 0, "kernel/panic": 10, "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000, "kernel/keys/root_maxbytes": 25000000,
}  # fmt: skip
"""Of the kernel, which is the host's too: what the kubelet wants to set. It finds that they are set already."""
_SETUP = """
set -e
mount -t tmpfs tmpfs /run
n=0
for folder in $FIXED; do
    n=$((n + 1)); mkdir -p "$STATE/$n" "$STATE/$n.work"
    mount -t overlay -o "lowerdir=$folder,upperdir=$STATE/$n,workdir=$STATE/$n.work" overlay "$folder"
done
for one in $TUNABLES; do
    n=$((n + 1)); echo "${one#*=}" > "$STATE/$n"; mount --bind "$STATE/$n" "/proc/sys/${one%=*}"
done
echo ready
sleep infinity &
wait
"""


class Machine:
    """Made and removed with `with`. Its address is the one of the network's bridge."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self.folder = folder
        self.cgroup = network.name
        """Name of a cgroup at the top of all hierarchies."""
        self._holder: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        state = self.folder / "machine"
        state.mkdir(parents=True, exist_ok=True)
        for hierarchy in self._hierarchies():
            (hierarchy / self.cgroup).mkdir()
        tunables = " ".join(f"{name}={value}" for name, value in _TUNABLES.items())
        self._holder = subprocess.Popen(
            [
                *WITH_US, "KILL", "nsenter", f"--net=/run/netns/{self.network.name}", "unshare", "--mount",
                "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", _SETUP,
            ],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "FIXED": " ".join(_FIXED), "TUNABLES": tunables, "STATE": str(state)},
        )  # fmt: skip
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n", "no namespaces could be made"

    def __exit__(self, *_: object) -> None:
        if self._holder is not None:
            self._holder.send_signal(signal.SIGKILL)
            self._holder.wait(30)
            if self._holder.stdout is not None:
                self._holder.stdout.close()
        for hierarchy in self._hierarchies():
            _remove_cgroup(hierarchy / self.cgroup)
        shutil.rmtree(self.folder / "machine", ignore_errors=True)

    def command(self, *words: str, folder: Path = Path("/")) -> list[str]:
        """A command line that runs there, in `folder`."""
        assert self._holder is not None
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()
        return ["nsenter", "--target", children[0], "--net", "--mount", "--pid", f"--wdns={folder}", "--", *words]

    def _hierarchies(self) -> list[Path]:
        """The mounted ones of cgroup v1, or the one of v2."""
        if (_CGROUPS / "cgroup.controllers").exists():
            return [_CGROUPS]
        kept = {"unified"}  # holds processes, and limits nothing
        return [
            path for path in _CGROUPS.iterdir() if path.is_dir() and not path.is_symlink() and path.name not in kept
        ]


def why_not(folder: Path) -> str:
    """Why there can be no such machine; empty when there can."""
    try:
        with Network() as network, Machine(network, folder):
            return ""
    except (OSError, AssertionError) as error:
        return f"no namespaces or cgroups of a test's own here ({error})"


class Servers:
    """Programs that run until the end, each with a log of its own."""

    def __init__(self, folder: Path, machine: Machine | None = None) -> None:
        self._folder = folder
        self._machine = machine
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, program: Path | str, *options: str, environ: Mapping[str, str] | None = None) -> None:
        """In the machine, when there is one."""
        name = Path(program).name
        words: Sequence[str] = (str(program), *options)
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [*WITH_US, "TERM", *words]
                if self._machine is None
                else self._machine.command(*words, folder=self._folder),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environ or {})},
                start_new_session=True,
            )

    def check(self) -> None:
        """Raises AssertionError with its log when one has ended."""
        for name, process in self._running.items():
            assert process.poll() is None, f"{name} has ended:\n{self.log(name)}"

    def log(self, name: str) -> str:
        """The end of it."""
        return (self._folder / f"{name}.log").read_text(errors="replace")[-6000:]

    def stop(self) -> None:
        """The last one first. What they leave behind ends with the machine."""
        for process in reversed(self._running.values()):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)
        self._running.clear()


def _remove_cgroup(folder: Path) -> None:
    """With all below; its processes have just been killed."""
    deadline = time.monotonic() + 10
    while folder.exists() and time.monotonic() < deadline:
        for inner in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
            with contextlib.suppress(OSError):
                inner.rmdir()
        with contextlib.suppress(OSError):
            folder.rmdir()
        time.sleep(0.05)
