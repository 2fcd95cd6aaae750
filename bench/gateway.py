"""A gateway under measurement: `gatewright up` with its own data, and its management API."""

import secrets
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx2

from bench.caller import Caller
from bench.children import Children
from bench.configuration import USER, GatewayPorts, Link, gateway_toml
from bench.measuring import child_called
from bench.ports import HOST, free_port
from gatewright.demo.children import Child

PROGRAM = (sys.executable, "-m", "gatewright.cli.main")
_PATIENCE_S = 60.0
_LONG_PATIENCE_S = 180.0
_STOP_S = 20.0


class Refused(Exception):
    """The gateway did not accept what the benchmark asked of it."""


class Gateway:
    """One gateway. It can be stopped and started again with what it has stored."""

    def __init__(
        self, name: str, folder: Path, children: Children, link: Link | None = None, *, of: "Gateway | None" = None
    ) -> None:
        """`of`: this is a further router of that gateway, and shares its port for requests, whatever `ports` says."""
        self.name = name
        self.ports = GatewayPorts(**{port: free_port() for port in GatewayPorts.__struct_fields__})
        self._of = of
        self.data_dir = folder / name
        self._folder = folder
        self._children = children
        self._child: Child | None = None
        self._password = secrets.token_urlsafe(12)
        self._configuration = folder / f"{name}.toml"
        self.configure(link)

    def configure(self, link: Link | None) -> None:
        """Write the configuration file that the next start reads."""
        self._configuration.touch(mode=0o600)
        self._configuration.write_text(
            gateway_toml(
                self.ports,
                data_dir=self.data_dir,
                password=self._password,
                link=link,
                controller_xds=self._of.ports.xds if self._of is not None else None,
            ),
            encoding="utf-8",
        )

    @property
    def pid(self) -> int:
        """The process with controller and relay."""
        if self._child is None:
            raise Refused(f"gateway {self.name} does not run")
        return self._child.pid

    @property
    def envoy_pid(self) -> int:
        """Its Envoy."""
        pid = child_called(self.pid, "envoy")
        if pid is None:
            raise Refused(f"gateway {self.name} has no Envoy")
        return pid

    def start(self) -> None:
        """Start the process; returns at once."""
        role = "up" if self._of is None else "router"
        self._child = self._children.start(self.name, (*PROGRAM, role, "--config", str(self._configuration)), _STOP_S)

    async def serving(self) -> None:
        """Wait until Envoy answers anything."""
        with closing(Caller(self.ports.http)) as caller:
            await caller.until(200, "/_gateway-health/ready", timeout_s=_PATIENCE_S, pause_s=0.01)

    async def stop(self) -> None:
        """End it; what it has stored stays."""
        if self._child is not None:
            await self._children.stop(self._child)
            self._child = None

    def forget_snapshot(self) -> None:
        """Leave only the database: the router must be given everything anew."""
        shutil.rmtree(self.data_dir / "snapshots", ignore_errors=True)

    @asynccontextmanager
    async def administration(self) -> AsyncIterator["Administration"]:
        """A client of its admin API."""
        base = f"http://{HOST}:{self.ports.admin}/api/admin/v1"
        auth = httpx2.BasicAuth(USER, self._password)
        async with httpx2.AsyncClient(base_url=base, auth=auth, trust_env=False, timeout=_LONG_PATIENCE_S) as client:
            yield Administration(client)

    @asynccontextmanager
    async def management(self) -> AsyncIterator["Management"]:
        """A client of its management API."""
        base = f"http://{HOST}:{self.ports.management}/api/management/v1"
        auth = httpx2.BasicAuth(USER, self._password)
        async with httpx2.AsyncClient(base_url=base, auth=auth, trust_env=False, timeout=_PATIENCE_S) as client:
            yield Management(client)


class Administration:
    """What the benchmark asks of the admin API. Everything raises Refused."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def status(self) -> dict[str, Any]:
        """All that the gateway says of itself."""
        return await self._asked("GET", "/status")

    async def sync(self) -> dict[str, Any]:
        """Reconcile with the control plane; what was done."""
        return await self._asked("POST", "/sync")

    async def _asked(self, method: str, path: str) -> dict[str, Any]:
        try:
            answer = await self._client.request(method, path)
        except httpx2.HTTPError as problem:
            raise Refused(f"{method} {path}: {problem!r}") from problem
        if answer.status_code != 200:
            raise Refused(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        content: dict[str, Any] = answer.json()
        return content


class Management:
    """What the benchmark asks of the management API. Everything raises Refused."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def create(self, document: bytes) -> str:
        """Deploy a new API; names the change for `served`."""
        return await self._write("POST", "/rest-apis", document)

    async def replace(self, name: str, document: bytes) -> str:
        """Change one."""
        return await self._write("PUT", f"/rest-apis/{name}", document)

    async def delete(self, name: str) -> str:
        """Remove one."""
        return await self._write("DELETE", f"/rest-apis/{name}", None)

    async def create_key(self, name: str) -> str:
        """A new key of an API."""
        answer = await self._client.post(f"/rest-apis/{name}/api-keys", json={"name": "bench"})
        if answer.status_code != 201:
            raise Refused(f"no key: {answer.status_code} {answer.text[:200]}")
        return str(answer.json()["apiKey"]["apiKey"])

    async def served(self, change: str) -> None:
        """Wait until Envoy has accepted a change."""
        answer = await self._client.get(f"/serving/{change}", params={"timeout": "20"})
        state = answer.json().get("state") if answer.status_code == 200 else answer.status_code
        if state != "served":
            raise Refused(f"a change is not served: {state}")

    async def _write(self, method: str, path: str, document: bytes | None) -> str:
        headers = {"content-type": "application/json"} if document is not None else {}
        answer = await self._client.request(method, path, content=document, headers=headers)
        if answer.status_code not in {200, 201}:
            raise Refused(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer.headers.get("x-gatewright-change", "")
