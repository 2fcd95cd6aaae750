"""The part of the Admin REST API v4 that concerns platform gateways."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gatewright.hub.apim import platform_gateways
from gatewright.hub.apim.guard import Guard
from gatewright.hub.apim.oauth import Bearer
from gatewright.hub.apim.platform_gateways import GatewayRequest
from gatewright.hub.apim.services import Services
from gatewright.hub.http import as_json, read_json
from gatewright.hub.store import Unit
from gatewright.wire.paths import REASON_SERVER_NORMAL

ADMIN_BASE: Final = "/api/am/admin/v4"
_SCOPE: Final = "apim:admin"


class AdminApi:
    """Gateways, and the same as environments."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        """At the root of the server."""
        guard = Guard(self._services)
        table = [
            ("GET", "/gateways", self._list),
            ("POST", "/gateways", self._register),
            ("GET", "/gateways/{id}", self._get),
            ("PUT", "/gateways/{id}", self._change),
            ("DELETE", "/gateways/{id}", self._remove),
            ("POST", "/gateways/{id}/regenerate-token", self._regenerate),
            ("GET", "/environments", self._environments),
            ("GET", "/environments/{id}", self._environment),
        ]
        return [Route(ADMIN_BASE + path, guard(endpoint, _SCOPE), methods=[method]) for method, path, endpoint in table]

    async def _list(self, _request: Request, _caller: Bearer) -> Response:
        rows = await self._services.store.read(platform_gateways.listed)
        gateways = [platform_gateways.view(row, active=self._active(row.id)) for row in rows]
        return as_json({"count": len(gateways), "list": gateways})

    async def _register(self, request: Request, _caller: Bearer) -> Response:
        wanted = await read_json(request, GatewayRequest)
        row, token = await self._services.store.write(lambda unit: platform_gateways.register(unit, wanted))
        body = {**platform_gateways.view(row, active=False), "registrationToken": token}
        return as_json(body, 201, {"location": f"{ADMIN_BASE}/gateways/{row.id}"})

    async def _get(self, request: Request, _caller: Bearer) -> Response:
        return await self._shown(request.path_params["id"])

    async def _change(self, request: Request, _caller: Bearer) -> Response:
        gateway_id, wanted = request.path_params["id"], await read_json(request, GatewayRequest)
        await self._services.store.write(lambda unit: platform_gateways.change(unit, gateway_id, wanted))
        return await self._shown(gateway_id)

    async def _remove(self, request: Request, _caller: Bearer) -> Response:
        gateway_id = request.path_params["id"]
        await self._services.store.write(lambda unit: platform_gateways.remove(unit, gateway_id))
        await self._drop(gateway_id)
        return Response(status_code=200)

    async def _regenerate(self, request: Request, _caller: Bearer) -> Response:
        gateway_id = request.path_params["id"]

        def work(unit: Unit) -> dict[str, object]:
            token = platform_gateways.regenerate_token(unit, gateway_id)
            row = platform_gateways.find(unit.connection, gateway_id)
            return {**platform_gateways.view(row, active=self._active(gateway_id)), "registrationToken": token}

        return as_json(await self._services.store.write(work))

    async def _environments(self, _request: Request, _caller: Bearer) -> Response:
        """Platform gateways are left out here, and there are no others."""
        return as_json({"count": 0, "list": []})

    async def _environment(self, request: Request, _caller: Bearer) -> Response:
        row = await self._services.store.read(
            lambda connection: platform_gateways.find(connection, request.path_params["id"])
        )
        return as_json(platform_gateways.environment_view(row, active=self._active(row.id)))

    async def _shown(self, gateway_id: str) -> Response:
        row = await self._services.store.read(lambda connection: platform_gateways.find(connection, gateway_id))
        return as_json(platform_gateways.view(row, active=self._active(gateway_id)))

    def _active(self, gateway_id: str) -> bool:
        return bool(self._services.connections.since(gateway_id))

    async def _drop(self, gateway_id: str) -> None:
        await self._services.connections.close_where(
            lambda connection: connection.gateway_id == gateway_id, REASON_SERVER_NORMAL
        )
