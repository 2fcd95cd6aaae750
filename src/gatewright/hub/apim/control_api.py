"""What a real API Manager does not have: switches, recorded requests, users and a restart, below `/api/hub/v1`."""

from typing import Final

import msgspec
from sqlalchemy import delete
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gatewright import __version__
from gatewright.hub import event_log
from gatewright.hub.admin import Administrator
from gatewright.hub.apim import accounts, oauth, outcomes, tables
from gatewright.hub.apim.config import User
from gatewright.hub.apim.guard import Endpoint
from gatewright.hub.apim.services import Services
from gatewright.hub.apim.switches import SwitchProblem
from gatewright.hub.http import as_json, public_handlers, read_json
from gatewright.hub.problems import ApiError, invalid
from gatewright.hub.store import Unit
from gatewright.wire.paths import REASON_SERVER_SHUTDOWN

CONTROL_BASE: Final = "/api/hub/v1"
_KEEP: Final = "keep"
_WIPE: Final = "wipe"
_MAX_NAME: Final = 128


class Restart(msgspec.Struct, frozen=True):
    """Body of a restart: `keep` drops connections only, `wipe` forgets gateways, APIs and clients too."""

    state: str = _KEEP


class ControlApi:
    """For the administrator of the stand-in, by the token in its data directory."""

    def __init__(self, services: Services, administrator: Administrator) -> None:
        self._services = services
        self._administrator = administrator

    def application(self) -> Starlette:
        """The application; everything but the health needs the token."""
        routes = [Route("/health", _health, methods=["GET"])]
        for method, path, endpoint in (
            ("GET", "/switches", self._switches),
            ("PATCH", "/switches", self._turn),
            ("DELETE", "/switches", self._reset),
            ("GET", "/requests", self._requests),
            ("DELETE", "/requests", self._clear),
            ("GET", "/requests/{seq:int}/upload", self._upload),
            ("GET", "/acknowledgements", self._acknowledgements),
            ("GET", "/events", self._events),
            ("GET", "/users", self._users),
            ("POST", "/users", self._keep_user),
            ("DELETE", "/access-tokens", self._end_tokens),
            ("POST", "/restart", self._restart),
        ):
            routes.append(Route(path, self._guarded(endpoint), methods=[method]))
        return Starlette(routes=routes, exception_handlers=public_handlers())

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            scheme, _, presented = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not self._administrator.is_token(presented.strip()):
                message = "Give the stand-in's admin token as 'Authorization: Bearer …'; it is in the file admin-token."
                raise ApiError(401, "UNAUTHORIZED", message)
            return await endpoint(request)

        return guarded

    async def _switches(self, _request: Request) -> Response:
        return as_json(self._services.switches.positions())

    async def _turn(self, request: Request) -> Response:
        wanted = await read_json(request, dict[str, str])
        try:
            self._services.switches.turn(wanted)
        except SwitchProblem as error:
            raise invalid(str(error)) from None
        return as_json(self._services.switches.positions())

    async def _reset(self, _request: Request) -> Response:
        self._services.switches.reset()
        return as_json(self._services.switches.positions())

    async def _requests(self, request: Request) -> Response:
        query = request.query_params
        found = self._services.recorder.entries(
            after=_number(query.get("after", "")), path=query.get("path", ""), method=query.get("method", "")
        )
        return as_json({"list": found})

    async def _clear(self, _request: Request) -> Response:
        self._services.recorder.clear()
        return Response(status_code=204)

    async def _upload(self, request: Request) -> Response:
        content = self._services.recorder.upload(request.path_params["seq"])
        if content is None:
            raise ApiError(404, "UPLOAD_NOT_FOUND", "That request brought no file, or it is no longer kept.")
        return Response(content, media_type="application/octet-stream")

    async def _acknowledgements(self, request: Request) -> Response:
        after = _number(request.query_params.get("after", ""))
        found = await self._services.store.read(lambda connection: outcomes.listed(connection, after=after))
        return as_json({"list": found})

    async def _events(self, request: Request) -> Response:
        after = _number(request.query_params.get("after", ""))
        gateway = request.query_params.get("gateway", "")
        found = await self._services.store.read(
            lambda connection: event_log.views(connection, gateway=gateway, after=after, limit=event_log.MAX_PAGE)
        )
        return as_json({"list": found})

    async def _users(self, _request: Request) -> Response:
        return as_json({"list": await self._services.store.read(accounts.listed)})

    async def _keep_user(self, request: Request) -> Response:
        user = await read_json(request, User)
        if not user.name or not user.password or max(len(user.name), len(user.password)) > _MAX_NAME:
            raise invalid(f"name and password must have 1 to {_MAX_NAME} characters")
        await self._services.store.write(lambda unit: accounts.keep(unit, [user]))
        return as_json({"name": user.name, "roles": user.roles}, 201)

    async def _end_tokens(self, _request: Request) -> Response:
        return as_json({"ended": await self._services.store.write(oauth.revoke_all)})

    async def _restart(self, request: Request) -> Response:
        wanted = await read_json(request, Restart)
        if wanted.state not in {_KEEP, _WIPE}:
            raise invalid(f"state must be {_KEEP} or {_WIPE}")
        if wanted.state == _WIPE:
            await self._services.store.write(self._wipe)
        await self._services.connections.close_where(lambda _connection: True, REASON_SERVER_SHUTDOWN)
        return Response(status_code=204)

    def _wipe(self, unit: Unit) -> None:
        for table in reversed(tables.metadata.sorted_tables):
            if table.name != tables.meta.name:
                unit.connection.execute(delete(table))
        accounts.keep(unit, self._services.config.users)


async def _health(_request: Request) -> Response:
    return as_json({"status": "ok", "version": __version__, "as": "api-manager"})


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0
