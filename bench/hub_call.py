"""Calls to the hub on a kept-alive connection, with a client that costs as little as possible itself.

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


class NotDone(Exception):
    """The hub did not do what was asked of it."""


class HubCall:
    """One connection to a hub. `close` it."""

    def __init__(self, data_dir: Path, port: int) -> None:
        token = (data_dir / ADMIN_TOKEN_FILE).read_text(encoding="ascii").strip()
        context = ssl.create_default_context(cafile=str(data_dir / CA_FILE))
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self._connection = http.client.HTTPSConnection(HOST, port, timeout=_TIMEOUT_S, context=context)

    async def deploy(self, document: bytes, gateway: str) -> float:
        """Deploy; when the call began, as `time.perf_counter`. Raises NotDone, OSError."""
        return await asyncio.to_thread(self._call, "POST", f"/artifacts?gateway={gateway}", document)

    async def revoke(self, api: str, key: str) -> float:
        """End a key by its name; the same."""
        return await asyncio.to_thread(self._call, "DELETE", f"/artifacts/{api}/api-keys/{key}", None)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _call(self, method: str, path: str, body: bytes | None) -> float:
        began = time.perf_counter()
        self._connection.request(method, BASE + path, body, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status not in {http.client.CREATED, http.client.NO_CONTENT}:
            raise NotDone(f"the hub answers {answer.status} to {method} {path}: {text[:200]!r}")
        return began
