"""An API Manager on the network of a test, and what is published and made in tests."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from deploy_network import Network

from gatewright.hub.apim.client import ApiManagerClient, ApiManagerClientError

PATIENCE_S = 90.0
Answered = TypeVar("Answered")


class ApiManager:
    """A stand-in for API Manager on the network, under its name and port 9443."""

    def __init__(self, apart: Network, folder: Path, name: str) -> None:
        self._network = apart
        self._folder = folder / "apim"
        program = (sys.executable, "-m", "gatewright.cli.main", "hub", "start", "--as", "api-manager")
        options = ("--host", "0.0.0.0", "--port", "9443", "--name", name, "--data-dir", str(self._folder))
        self._process = subprocess.Popen(apart.command(*program, *options), stdout=subprocess.DEVNULL)
        try:
            until(lambda: (self._folder / "admin-token").exists() and self._answers(), "API Manager is up")
        except BaseException:
            self.stop()
            raise

    def ask(self, question: Callable[[ApiManagerClient], Awaitable[Answered]]) -> Answered:
        """As a user of its portals."""

        async def asking() -> Answered:
            async with ApiManagerClient.from_data_dir(self._folder, "https://127.0.0.1:9443") as client:
                return await question(client)

        return self._network.inside(lambda: asyncio.run(asking()))

    @property
    def authority(self) -> str:
        """Of its certificate, in PEM."""
        return (self._folder / "ca.pem").read_text()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)

    def _answers(self) -> bool:
        with contextlib.suppress(ApiManagerClientError):
            self.ask(lambda client: client.gateways())
            return True
        return False


def until(holds: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (value := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain: {what}")
        time.sleep(0.05)
    return value


def rest_api(name: str, backend: str) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": "RestApi",
        "metadata": {"name": name},
        "spec": {
            "displayName": name,
            "version": "v1.0",
            "context": f"/{name}",
            "upstream": {"main": {"url": backend}},
            "operations": [{"method": "GET", "path": "/items"}],
        },
    }


def publisher_api(name: str, backend: str) -> dict[str, Any]:
    return {
        "name": name,
        "version": "1.0.0",
        "context": f"/{name}",
        "endpointConfig": {"endpoint_type": "http", "production_endpoints": {"url": backend}},
        "operations": [{"target": "/items", "verb": "GET", "authType": "None"}],
    }
