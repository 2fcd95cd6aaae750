"""The part of the DevPortal REST API v3 that concerns API keys of an API."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gatewright.hub.apim import keys
from gatewright.hub.apim.guard import Guard
from gatewright.hub.apim.oauth import Bearer
from gatewright.hub.apim.services import Services
from gatewright.hub.http import as_json, read_json

DEVPORTAL_BASE: Final = "/api/am/devportal/v3"
_SCOPES: Final = ("apim:api_key", "apim:subscribe")


class _KeyRequest(msgspec.Struct, frozen=True, rename="camel"):
    key_name: str
    validity_period: int = -1


class DevPortalApi:
    """Keys: generate, list, regenerate, revoke."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        """At the root of the server."""
        guard, base = Guard(self._services), f"{DEVPORTAL_BASE}/apis/{{id}}/api-keys"
        table = [
            ("GET", "", self._list),
            ("POST", "/generate", self._generate),
            ("POST", "/{name}/regenerate", self._regenerate),
            ("POST", "/{name}/revoke", self._revoke),
        ]
        return [Route(base + path, guard(endpoint, *_SCOPES), methods=[method]) for method, path, endpoint in table]

    async def _list(self, request: Request, _caller: Bearer) -> Response:
        found = await self._services.store.read(lambda connection: keys.views(connection, request.path_params["id"]))
        return as_json({"count": len(found), "list": found})

    async def _generate(self, request: Request, caller: Bearer) -> Response:
        api_id, wanted = request.path_params["id"], await read_json(request, _KeyRequest)
        plain = await self._services.store.write(
            lambda unit: keys.create(unit, api_id, wanted.key_name, wanted.validity_period, caller.user)
        )
        return as_json({"apikey": plain, "validityTime": wanted.validity_period})

    async def _regenerate(self, request: Request, caller: Bearer) -> Response:
        api_id, name = request.path_params["id"], request.path_params["name"]
        plain = await self._services.store.write(lambda unit: keys.regenerate(unit, api_id, name, caller.user))
        return as_json({"apikey": plain, "validityTime": -1})

    async def _revoke(self, request: Request, caller: Bearer) -> Response:
        api_id, name = request.path_params["id"], request.path_params["name"]
        await self._services.store.write(lambda unit: keys.revoke(unit, api_id, name, caller.user))
        return Response(status_code=200)
