"""The deploy call to the hub on a kept-alive connection, with a client that costs as little as possible itself.

Blocking, and run in a thread, like the poller.
"""

import asyncio
import http.client
import ssl
import time
from pathlib import Path

from bench.ports import HOST
from gatewright.hub.client import ADMIN_TOKEN_FILE, BASE, CA_FILE

_TIMEOUT_S = 30.0


class NotDeployed(Exception):
    """The hub did not take a document."""


class DeployCall:
    """One connection to a hub. `close` it."""

    def __init__(self, data_dir: Path, port: int) -> None:
        token = (data_dir / ADMIN_TOKEN_FILE).read_text(encoding="ascii").strip()
        context = ssl.create_default_context(cafile=str(data_dir / CA_FILE))
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self._connection = http.client.HTTPSConnection(HOST, port, timeout=_TIMEOUT_S, context=context)

    async def __call__(self, document: bytes, gateway: str) -> float:
        """Deploy; when the call began, as `time.perf_counter`. Raises NotDeployed, OSError."""
        return await asyncio.to_thread(self._deploy, document, gateway)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _deploy(self, document: bytes, gateway: str) -> float:
        began = time.perf_counter()
        self._connection.request("POST", f"{BASE}/artifacts?gateway={gateway}", document, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != http.client.CREATED:
            raise NotDeployed(f"the hub answers {answer.status} to a deployment: {text[:200]!r}")
        return began
