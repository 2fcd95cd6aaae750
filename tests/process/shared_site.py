"""Two controllers on one PostgreSQL, two routers, a hub: real processes, for the tests of high availability."""

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
from envoy_harness import Reply
from gateway_processes import HOST, PATIENCE, Gateway, Hub, alive, free_ports, merged, until

HANDLE = "fleet"


class Site:
    """`controllers` and `routers` are all there are; any may be killed and started again."""

    def __init__(self, folder: Path, hub: Hub, database: str) -> None:
        self.hub = hub
        over = merged(
            hub.over(hub.register(HANDLE)),
            {
                "controller": {
                    "storage": {"type": "postgres", "postgres": {"dsn": database}},
                    "event_hub": {"poll_interval": "1s"},
                    "encryption": {"providers": [{"type": "aesgcm", "keys": _keys(folder)}]},
                },
            },
        )
        self.controllers = [Gateway(folder / f"controller-{name}", over, role="controller") for name in "ab"]
        first = self.controllers[0]
        for other in self.controllers[1:]:
            # The listeners are the same, whichever controller tells them.
            other.configuration["router"] = first.configuration["router"]
        self.addresses = [f"{HOST}:{controller.ports['xds']}" for controller in self.controllers]
        self.routers = [self._router(folder / f"router-{name}") for name in "xy"]

    def _router(self, folder: Path) -> Gateway:
        first = self.controllers[0]
        router = Gateway(folder, {"gatewright": {"remote_controller": {"addresses": self.addresses}}}, role="router")
        # On one machine they share the listeners' ports; their own look at free ports would refuse that.
        (http, https) = free_ports(2)
        router.configuration["router"] = {"listener_port": http, "https_port": https}
        router.ports |= {name: first.ports[name] for name in ("http", "https")}
        return router

    def tie(self, router: Gateway, addresses: Sequence[str], *, strict: bool = False) -> None:
        """From its next start a router goes to these controllers only; a strict one refuses long expressions."""
        own = router.configuration["gatewright"]
        own["remote_controller"] = {"addresses": list(addresses)}
        own["envoy"]["re2_max_program_size"] = 30 if strict else 400

    def start(self) -> None:
        """All of them, and wait until everybody is connected."""
        for controller in self.controllers:
            controller.launch()
        for controller in self.controllers:
            controller.wait_for_controller()
        for router in self.routers:
            router.launch()
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Both controllers know of both routers, and one of them holds the connection to the control plane."""

        def whole() -> bool:
            try:
                return all(
                    len(shown["controllers"]) == len(self.controllers)
                    and sum(len(peer["routers"]) for peer in shown["controllers"]) == len(self.routers)
                    for shown in (controller.status() for controller in self.controllers)
                )
            except (httpx2.TransportError, AssertionError):
                return False

        until(whole, "everybody is connected")
        until(lambda: self.holder.link["state"] == "connected", "the link is up")

    def close(self) -> None:
        """Stop what runs."""
        for part in (*self.routers, *self.controllers):
            part.close()

    @property
    def holder(self) -> Gateway:
        """The controller that holds the connection to the control plane."""
        running = [controller for controller in self.controllers if controller.is_running]
        held: Gateway = until(
            lambda: next((one for one in running if _state(one) not in {"standby", ""}), None), "one holds the link"
        )
        return held

    @property
    def standby(self) -> Gateway:
        """The other one."""
        return next(controller for controller in self.controllers if controller is not self.holder)

    def get(self, path: str, **options: Any) -> Reply:
        """One request on a connection of its own, through whichever router the kernel deals it to."""
        return self.controllers[0].get(path, **options)

    def everywhere(self, path: str, status: int = 200) -> bool:
        """Whether both routers answer so: each gets its share of many connections."""
        return {self.get(path).status for _ in range(16)} == {status}

    def readiness(self) -> set[tuple[int, str]]:
        """What the probes of the controllers are told."""
        answers = [controller.admin.get("/ready") for controller in self.controllers]
        return {(answer.status_code, answer.json()["reason"]) for answer in answers}

    def write(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """A change through any controller that answers, as a client behind a load balancer makes it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            controller = random.choice(self.controllers)
            try:
                answer = controller.management.request(method, path, **options)
            except httpx2.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500:
                return answer
            assert time.monotonic() < deadline, f"no controller takes {method} {path}"
            time.sleep(0.05)


def kill(part: Gateway | Hub) -> None:
    """SIGKILL; a router's Envoy dies with it."""
    envoy = part.process.envoy() if isinstance(part, Gateway) and part.role == "router" else None
    part.kill()
    if envoy is not None:
        until(lambda: not alive(envoy), "its Envoy has died with it")


def _state(controller: Gateway) -> str:
    try:
        return str(controller.link["state"])
    except (httpx2.TransportError, AssertionError):
        return ""


def _keys(folder: Path) -> Sequence[dict[str, str]]:
    return [{"version": "aesgcm256-v1", "file": str(folder / "keys" / "shared.bin")}]
