"""Envoy's admin interface over its Unix socket (or TCP where configured): readiness, draining, dumps."""

from pathlib import Path

import httpx2

TIMEOUT_S = 2.0


class EnvoyAdmin:
    """Short calls with a bounded wait. Every method answers also when Envoy does not."""

    def __init__(self, socket: Path, address: tuple[str, int] | None = None) -> None:
        transport = None if address else httpx2.AsyncHTTPTransport(uds=str(socket))
        base = f"http://{address[0]}:{address[1]}" if address else "http://envoy"
        self._client = httpx2.AsyncClient(transport=transport, base_url=base, timeout=TIMEOUT_S)

    async def ready(self) -> bool:
        """Whether Envoy has its configuration and takes traffic."""
        try:
            return (await self._client.get("/ready")).status_code == 200
        except httpx2.HTTPError:
            return False

    async def drain(self) -> bool:
        """Ask Envoy to let open requests finish and to tell clients to go elsewhere."""
        try:
            return (await self._client.post("/drain_listeners?graceful&skip_exit")).status_code == 200
        except httpx2.HTTPError:
            return False

    async def text(self, path: str) -> str:
        """The body of an admin page, empty when Envoy does not answer."""
        try:
            return (await self._client.get(path)).text
        except httpx2.HTTPError:
            return ""

    async def active_requests(self) -> int | None:
        """Requests in flight, None when Envoy does not answer."""
        body = await self.text("/stats?filter=^http.http.downstream_rq_active$&format=text")
        value = body.rpartition(":")[2].strip()
        return int(value) if value.isdigit() else None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
