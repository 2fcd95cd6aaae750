"""The processes of the demo: hub, backend, API Manager, gateways. The same commands that people type."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from gatewright.demo.children import Child
from gatewright.demo.ports import HOST, Ports
from gatewright.demo.workspace import Workspace

PROGRAM: Final = (sys.executable, "-m", "gatewright.cli.main")
_KEPT: Final = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "VIRTUAL_ENV",
    "USER",
    "LOGNAME",
    "PYTHONPATH",
)
_HUB_PATIENCE_S: Final = 10.0
_GATEWAY_PATIENCE_S: Final = 20.0
_BACKEND_PATIENCE_S: Final = 3.0
_LONGEST_FOLDER: Final = 60
"""Bytes. Paths of Unix sockets, which processes make there, are limited to about 100."""


class NotRegistered(Exception):
    """`gatewright apim register` failed; its words."""


class Parts:
    """Children by their order of start."""

    def __init__(self, workspace: Workspace, ports: Ports) -> None:
        self._workspace = workspace
        self._ports = ports
        self._running: list[tuple[Child, float]] = []

    def start_hub(self) -> Child:
        """The embedded control plane."""
        directory = self._workspace.path / "hub"
        options = ("hub", "start", "--host", HOST, "--port", str(self._ports.hub), "--data-dir", str(directory))
        return self._start("hub", (*PROGRAM, *options), _HUB_PATIENCE_S)

    def start_backend(self) -> Child:
        """Pets and books."""
        command = (sys.executable, "-m", "gatewright.demo.backend", "--host", HOST, "--port", str(self._ports.backend))
        return self._start("backend", command, _BACKEND_PATIENCE_S)

    def start_gateway(self) -> Child:
        """Controller, and router with Envoy."""
        command = (*PROGRAM, "up", "--config", str(self._workspace.path / "gateway.toml"))
        return self._start("gateway", command, _GATEWAY_PATIENCE_S)

    def start_api_manager(self) -> Child:
        """The stand-in for an on-premises API Manager."""
        directory = self._workspace.path / "api-manager"
        options = ("--host", HOST, "--port", str(self._ports.api_manager), "--data-dir", str(directory))
        command = (*PROGRAM, "hub", "start", "--as", "api-manager", *options)
        return self._start("api-manager", command, _HUB_PATIENCE_S)

    async def register(self, arguments: Sequence[str], password: str) -> None:
        """`gatewright apim register` with the password on its standard input. Raises NotRegistered."""
        process = await asyncio.create_subprocess_exec(
            *PROGRAM,
            *arguments,
            "--password-file",
            "-",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._workspace.path,
            env=_environment(os.environ),
        )
        _, words = await process.communicate(f"{password}\n".encode())
        if process.returncode:
            raise NotRegistered(" ".join(words.decode(errors="replace").split())[:500])

    def start_site(self, credentials: str) -> Child:
        """The gateway of the API Manager, with the environment file that registering has written."""
        command = ("sh", "-c", f'set -a; . ./{credentials}; exec "$@"', "sh", *PROGRAM, "up", "--config", "site.toml")
        return self._start("site", command, _GATEWAY_PATIENCE_S)

    def check(self) -> None:
        """Raises ChildEnded when one of them does not run any more."""
        for child, _ in self._running:
            child.check()

    async def stop(self) -> None:
        """End all, last started first."""
        while self._running:
            child, patience = self._running[-1]
            await child.stop(patience)
            self._running.pop()

    def kill(self) -> None:
        """End all at once."""
        while self._running:
            self._running.pop()[0].kill()

    def _start(self, name: str, command: Sequence[str], patience_s: float) -> Child:
        folder = self._workspace.path
        environ = _environment(os.environ) | _temporary(folder)
        child = Child(name, command, log=folder / f"{name}.log", cwd=folder, environ=environ)
        self._running.append((child, patience_s))
        return child


def _temporary(folder: Path) -> dict[str, str]:
    """Temporary folders of the children go into the demo's, so that nothing stays when all of them are killed."""
    inside = folder / "t"
    if len(os.fsencode(inside)) > _LONGEST_FOLDER:
        return {}
    inside.mkdir(mode=0o700, exist_ok=True)
    return {"TMPDIR": str(inside)}


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Only what programs need: settings and proxies of the user's shell must not change what the demo shows."""
    kept = {name: environ[name] for name in _KEPT if name in environ}
    return {**kept, "PYTHONUNBUFFERED": "1"}
