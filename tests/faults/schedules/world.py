"""The real processes of a fault test: hub, controller, router with Envoy, and the bad line between hub and controller.

One world serves many schedules, each with names of its own. An event loop in a thread runs the line and the schedules.
"""

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import envoy_certificates
import fault_line
import gateway_processes as processes
import httpx2
import yaml
from envoy_harness import Backend
from fault_line import Faults, Line

from gatewright.controlplane.half_open import closing_trace
from gatewright.hub.client import HubClient
from gatewright.wire.kinds import PROJECT_ANNOTATION
from support.loop_thread import LoopThread

EDGE: Final = "edge"
PROGRAM: Final = (sys.executable, str(Path(__file__).with_name("impatient.py")))
UNTOUCHED: Final = ("untouched-hub", "untouched-own")
SECURED: Final = "untouched-secured"
T = TypeVar("T")


class World:
    """Started by `with`. `do` runs a coroutine on the loop of the line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.backend = Backend()
        self.hub = processes.Hub(folder, program=PROGRAM)
        self.secured_key = ""

    def __enter__(self) -> Self:
        self._thread = LoopThread()
        self.hub.start()
        token = self.hub.register(EDGE)
        authority = envoy_certificates.Authority("authority of the line")
        self.server = authority.server(self._folder, fault_line.HOST)
        ca_file = self._folder / "line-ca.pem"
        ca_file.write_text(authority.pem)
        trusted = ssl.create_default_context(cafile=str(self.hub.ca_file))
        self.line = self.do(self._open_line(trusted))
        self.controller = processes.Gateway(
            self._folder, self._over(token, ca_file), role="controller", program=PROGRAM
        )
        self.router = self._router()
        self.controller.start()
        self.router.start()
        self.controller.wait_for_link()
        self._untouched()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything, in whatever state it is."""
        for site in (self.router, self.controller, self.hub):
            if site.is_running:
                site.kill()
        for gateway in (self.router, self.controller):
            gateway.management.close()
            gateway.admin.close()
        self.do(self._close_line())
        self.backend.stop()
        self._thread.close()

    def do(self, work: Coroutine[Any, Any, T], timeout: float = 300) -> T:
        return self._thread.do(work, timeout)

    def client(self) -> HubClient:
        """Of the hub, not over the bad line. It may be given up while it connects."""
        client = HubClient.from_data_dir(self.hub.data_dir, port=self.hub.port)

        async def closing(request: httpx2.Request) -> None:
            request.extensions["trace"] = closing_trace()

        client.http.event_hooks = {"request": [closing]}
        return client

    def kill_envoy(self) -> None:
        os.kill(self.router.process.envoy(), signal.SIGKILL)

    async def _open_line(self, trusted: ssl.SSLContext) -> Line:
        line = Line(self.server, trusted, port=0, target=self.hub.port, faults=Faults(0))
        return await line.__aenter__()

    async def _close_line(self) -> None:
        await self.line.__aexit__()
        await asyncio.sleep(0.05)  # sockets are closed in the next turns of the loop

    def _over(self, token: str, ca_file: Path) -> dict[str, Any]:
        over = self.hub.over(token, reconnect_initial="50ms", reconnect_max="400ms")
        over["controller"]["controlplane"]["host"] = f"{fault_line.HOST}:{self.line.port}"
        over["gatewright"]["controlplane"] = {"ca_file": str(ca_file), "deletion_share": 1.0}
        return over

    def _router(self) -> processes.Gateway:
        remote = {"host": processes.HOST, "xds_port": self.controller.ports["xds"]}
        router = processes.Gateway(
            self._folder / "router", {"gatewright": {"remote_controller": remote}}, role="router", program=PROGRAM
        )
        router.ports |= {name: self.controller.ports[name] for name in ("http", "https")}
        router.configuration["router"] = self.controller.configuration["router"]
        router.configuration["gatewright"]["envoy"]["restart_backoff_max"] = "300ms"
        return router

    def _untouched(self) -> None:
        """What no schedule touches: one API of the hub, one of the gateway, one of the hub with a key."""
        by_hub, own = UNTOUCHED
        port = self.backend.port
        self.deploy(processes.rest_api(by_hub, port))
        self.deploy(processes.rest_api(SECURED, port, policies=[processes.KEY_POLICY]))
        self.secured_key = self.hub.ask(lambda client: client.create_key(SECURED, "visitor")).api_key
        self.controller.deploy(processes.rest_api(own, port, annotations={PROJECT_ANNOTATION: "default"}))
        headers = [("API-Key", self.secured_key)]
        processes.until(lambda: self.router.get(f"/{SECURED}/items", headers=headers).status == 200, "the key works")

    def deploy(self, document: dict[str, Any]) -> None:
        self.hub.ask(lambda client: client.deploy(yaml.safe_dump(document), [EDGE]))
        name = document["metadata"]["name"]
        views = self.hub.ask(lambda client: client.deployments(artifact=name, wait=30))
        assert [view.status for view in views] == ["DEPLOYED"], views
