"""Runs services of the compose file under podman: volumes, files, rights, health checks, as compose would.

A variable `${NAME:?…}` or `${NAME:-…}` is filled from what the test gives. Databases are not run: the network leads
their names elsewhere.
"""

import http.client
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from deploy_chart import REPOSITORY
from deploy_network import Network
from deploy_pods import LIMITS, PODMAN, QUIET

FOLDER = REPOSITORY / "deploy" / "compose"
FILE = FOLDER / "compose.yaml"
USER = 10001
PATIENCE_S = 120.0
_VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")


def services(variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The services, with their variables filled in."""

    def value(found: re.Match[str]) -> str:
        name, how, text = found.groups()
        if variables.get(name):
            return variables[name]
        assert how == "-", f"{name} is needed: {text}"
        return str(text)

    filled = _VARIABLE.sub(value, FILE.read_text()).replace("$$", "$")
    found: dict[str, dict[str, Any]] = yaml.safe_load(filled)["services"]
    return found


class Composed:
    """Services that run, on a network of their own."""

    def __init__(self, network: Network, folder: Path, variables: Mapping[str, str], hosts: Mapping[str, str]) -> None:
        self._network = network
        self._folder = folder
        self._services = services(variables)
        self._hosts = dict(hosts)
        self._running: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._running):
            print(f"== {name}\n{self._podman('logs', self._at_podman(name), check=False)}")
            self._podman("rm", "--force", "--time", "20", self._at_podman(name))

    def start(self, name: str) -> str:
        """A service, and wait until it is healthy, or, without a health check, until it has ended well; its address."""
        service = self._services[name]
        namespace, address = self._network.add(name)
        first, *entrypoint = service.get("entrypoint") or [""]
        options = ["--detach", "--name", self._at_podman(name), "--network", f"ns:{namespace}", *QUIET, *LIMITS]
        options += [*self._rights(service), *self._mounts(service)]
        options += [word for host, at in self._hosts.items() for word in ("--add-host", f"{host}:{at}")]
        options += [word for item in service.get("environment", {}).items() for word in ("--env", "=".join(item))]
        options += ["--entrypoint", first] if first else []
        self._running.append(name)
        self._podman("run", *options, service["image"], *entrypoint, *service.get("command", ()))
        self._hosts[name] = address
        self._settle(name, service)
        return address

    def stop(self, name: str) -> None:
        """End a service; its volumes stay."""
        self._running.remove(name)
        self._podman("rm", "--force", "--time", "20", self._at_podman(name))
        self._network.remove(name)

    def volume(self, name: str) -> Path:
        """Where a volume is on this machine."""
        return self._folder / name

    def execute(self, name: str, *command: str, given: str = "") -> str:
        """What a command in a service prints; it must end well."""
        line = [*PODMAN, "exec", "--interactive", self._at_podman(name), *command]
        done = subprocess.run(line, input=given, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self, name: str, port: int, path: str) -> int:
        """Of an HTTP request to a service."""

        def ask() -> int:
            connection = http.client.HTTPConnection(self._hosts[name], port, timeout=30)
            try:
                connection.request("GET", path)
                return connection.getresponse().status
            finally:
                connection.close()

        return self._network.inside(ask)

    def _settle(self, name: str, service: Mapping[str, Any]) -> None:
        health = service.get("healthcheck", {}).get("test")
        if health is None and "entrypoint" not in service:
            part = "controller" if name == "gateway-controller" else "router"
            where = "gateway-controller" if part == "controller" else "policy-engine"
            health = ["CMD", "gatewright", "health", part, "--config", f"/etc/{where}/config.toml"]
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if health is None:
                state = self._podman(
                    "inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", self._at_podman(name)
                )
                if state.startswith("exited"):
                    assert state.strip() == "exited 0", state
                    return
            elif self._healthy(name, health[1:]):
                return
            time.sleep(0.3)
        raise AssertionError(f"{name} did not come up: {self._podman('logs', self._at_podman(name), check=False)}")

    def _healthy(self, name: str, command: list[str]) -> bool:
        done = subprocess.run([*PODMAN, "exec", self._at_podman(name), *command], capture_output=True, check=False)
        return done.returncode == 0

    @staticmethod
    def _rights(service: Mapping[str, Any]) -> Iterator[str]:
        assert service["read_only"]
        yield from ("--read-only", "--read-only-tmpfs=false")
        for path in service["tmpfs"]:
            yield from ("--tmpfs", f"{path}:rw,mode=1777")
        for capability in service["cap_drop"]:
            yield from ("--cap-drop", capability.lower())
        for option in service["security_opt"]:
            yield from ("--security-opt", option.removesuffix(":true"))

    def _mounts(self, service: Mapping[str, Any]) -> Iterator[str]:
        for mount in service["volumes"]:
            source, _, rest = mount.partition(":")
            if source.startswith("./"):
                yield from ("--volume", f"{FOLDER / source}:{rest}")
                continue
            volume = self._folder / source
            volume.mkdir(parents=True, exist_ok=True)
            os.chown(volume, USER, USER)  # as the folder of the image that it is mounted over
            yield from ("--volume", f"{volume}:{rest}")

    def _at_podman(self, name: str) -> str:
        return f"{self._network.name}-{name}"

    @staticmethod
    def _podman(*arguments: str, check: bool = True) -> str:
        done = subprocess.run([*PODMAN, *arguments], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout + done.stderr
