"""Questions and orders to Envoy's admin interface, over its Unix socket or TCP. Bounded in time and size."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx2

from gatewright.xds.outcomes import ClusterStates

TIMEOUT_S: Final = 2.0
NAMES_PER_QUESTION: Final = 10
_BASE: Final = "http://envoy"


class AdminUnavailable(Exception):
    """Envoy does not answer: not started yet, gone, or busy."""


class EnvoyAdmin:
    """Client of one Envoy's admin interface. Close it when done."""

    def __init__(self, *, socket: Path | None = None, tcp: tuple[str, int] | None = None) -> None:
        transport = httpx2.AsyncHTTPTransport(uds=str(socket)) if socket is not None else None
        base = _BASE if tcp is None else f"http://{_bracketed(tcp[0])}:{tcp[1]}"
        self._client = httpx2.AsyncClient(transport=transport, base_url=base, timeout=TIMEOUT_S, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def live(self) -> bool:
        """Whether Envoy has all it needed to start and accepts traffic; False also when it does not answer."""
        try:
            response = await self._client.get("/ready")
        except httpx2.HTTPError:
            return False
        return response.status_code == 200

    async def stats(self, pattern: str) -> dict[str, int]:
        """Counters and gauges whose names match an expression."""
        text = await self._get("/stats", filter=pattern, format="json")
        try:
            found = json.loads(text).get("stats", [])
        except ValueError as error:
            raise AdminUnavailable(f"/stats: no JSON: {error}") from error
        return {stat["name"]: stat["value"] for stat in found if isinstance(stat.get("value"), int)}

    async def clusters(self, names: Sequence[str]) -> ClusterStates | None:
        """Which of these clusters are in use, and which are warming; None when Envoy does not answer."""
        try:
            warming = await self._versions("dynamic_warming_clusters", "")
            active: dict[str, str] = {}
            for at in range(0, len(names), NAMES_PER_QUESTION):
                asked = "|".join(map(re.escape, names[at : at + NAMES_PER_QUESTION]))
                active.update(await self._versions("dynamic_active_clusters", f"^({asked})$"))
        except (AdminUnavailable, ValueError):
            return None
        return ClusterStates(active=active, warming=warming)

    async def _versions(self, resource: str, pattern: str) -> dict[str, str]:
        query = {"name_regex": pattern} if pattern else {}
        dump = json.loads(await self._get("/config_dump", resource=resource, **query))
        entries = [entry for entry in dump.get("configs", []) if "name" in entry.get("cluster", {})]
        return {entry["cluster"]["name"]: str(entry.get("version_info", "")) for entry in entries}

    async def active_requests(self) -> int:
        """Requests of clients that are being answered at this moment."""
        stats = await self.stats(r"^http\.[^.]+\.downstream_rq_active$")
        return sum(value for name, value in stats.items() if not name.startswith("http.admin."))

    async def drain_gracefully(self) -> None:
        """Tell clients to go elsewhere: `connection: close`, GOAWAY. New connections are still accepted."""
        await self._post("/drain_listeners", graceful="")

    async def close_listeners(self) -> None:
        """Accept no new connections."""
        await self._post("/drain_listeners")

    async def get(self, path: str) -> str:
        """Any page, as text."""
        return await self._get(path)

    async def _get(self, path: str, **query: str) -> str:
        try:
            response = await self._client.get(path, params=query or None)
        except httpx2.HTTPError as error:
            raise AdminUnavailable(f"{path}: {error}") from error
        if response.status_code != 200:
            raise AdminUnavailable(f"{path}: {response.status_code} {response.text[:200]}")
        return response.text

    async def _post(self, path: str, **query: str) -> None:
        url = path + ("?" + "&".join(query) if query else "")
        try:
            response = await self._client.post(url)
        except httpx2.HTTPError as error:
            raise AdminUnavailable(f"{path}: {error}") from error
        if response.status_code != 200:
            raise AdminUnavailable(f"{path}: {response.status_code} {response.text[:200]}")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
