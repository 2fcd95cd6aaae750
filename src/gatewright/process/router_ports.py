"""The router's own ports: health (`policy_engine.admin`) and metrics (`policy_engine.metrics`).

Paths and bodies are those of the original's policy engine. They answer before Envoy runs, and when it does not. Metrics
are Envoy's, which nobody needs its admin interface for.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gatewright.management.bodies import answer, text, timestamp
from gatewright.management.ports import HttpServer, bind
from gatewright.observability.logging import get_logger
from gatewright.router.admin import AdminUnavailable
from gatewright.router.router import Router
from gatewright.settings.tree import Settings

UNHEALTHY: Final = "policy engine is unhealthy"
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_STOP_S: Final = 2.0
_log = get_logger(__name__)


class RouterPorts:
    """Serves them until stopped. `router` is asked at each request: it may not be there yet."""

    def __init__(self, settings: Settings, router: Callable[[], Router | None]) -> None:
        self._settings = settings
        self._router = router
        self._servers: list[HttpServer] = []

    async def start(self) -> None:
        """Raises CannotBind."""
        engine, host = self._settings.policy_engine, self._settings.gatewright.bind.router_admin
        try:
            if engine.admin.enabled:
                await self._serve(_only("/health", self._health), host, engine.admin.port, "the router's health port")
            if engine.metrics.enabled:
                await self._serve(_only("/metrics", self._metrics), host, engine.metrics.port, "the router's metrics")
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close what was opened."""
        while self._servers:
            await self._servers.pop().stop()

    async def _serve(self, app: ASGIApp, host: str, port: int, what: str) -> None:
        server = HttpServer(app, bind(host, port, what), shutdown_timeout_s=_STOP_S)
        await server.start()
        self._servers.append(server)
        _log.info(f"serving: {what}", port=server.port)

    async def _health(self) -> Response:
        router = self._router()
        now = timestamp(datetime.now(UTC).replace(microsecond=0))
        if router is not None and router.ready:
            return answer({"status": "healthy", "timestamp": now})
        return answer({"status": "unhealthy", "timestamp": now, "reason": UNHEALTHY}, 503)

    async def _metrics(self) -> Response:
        router = self._router()
        is_ready = router is not None and router.ready
        own = (
            "# HELP policy_engine_up 1 while the router's process runs.\n# TYPE policy_engine_up gauge\n"
            "policy_engine_up 1\n"
            "# HELP gatewright_router_ready 1 while Envoy accepts traffic.\n# TYPE gatewright_router_ready gauge\n"
            f"gatewright_router_ready {int(is_ready)}\n"
        )
        return Response(own + await self._of_envoy(router), media_type=_METRICS_TYPE)

    @staticmethod
    async def _of_envoy(router: Router | None) -> str:
        admin = router.admin if router is not None else None
        if admin is None:
            return ""
        try:
            return await admin.get("/stats/prometheus")
        except AdminUnavailable:
            return ""


def _only(path: str, respond: Callable[[], Awaitable[Response]]) -> ASGIApp:
    """An application with one path, for GET."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if request.url.path != path:
            response: Response = text("404 page not found", 404)
        elif request.method != "GET":
            response = text("Method Not Allowed", 405, {"allow": "GET"})
        else:
            response = await respond()
        await response(scope, receive, send)

    return app
