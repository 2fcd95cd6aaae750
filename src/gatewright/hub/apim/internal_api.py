"""The REST calls of gateways, below `/internal/data/v1`. Errors are short plain texts, which are part of the wire."""

import io
import tarfile
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from gatewright.hub.apim import deployed
from gatewright.hub.apim.definition import gateway_document
from gatewright.hub.apim.services import Services
from gatewright.hub.apim.socket import PlatformSocket
from gatewright.hub.gateways import Caller
from gatewright.hub.http import as_json, read_body
from gatewright.hub.problems import ApiError
from gatewright.observability.logging import get_logger
from gatewright.wire import paths
from gatewright.wire.apikeys import ACTIVE
from gatewright.wire.archives import write_definition
from gatewright.wire.times import Timestamp

INTERNAL_BASE: Final = "/internal/data/v1"
_TEXT: Final = "text/plain"
_MAX_LIST_BODY: Final = 4 * 1_048_576

_log = get_logger(__name__)

GatewayEndpoint = Callable[[Request, Caller], Awaitable[Response]]


class _Text(Exception):
    """Answered as it is."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text
        super().__init__(text)


class InternalApi:
    """All internal endpoints, as an application to be mounted at the base path."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._socket = PlatformSocket(services)

    def application(self) -> Starlette:
        """The application."""
        routes: list[Route | WebSocketRoute] = [WebSocketRoute(paths.WEBSOCKET, self._socket.endpoint)]
        for method, path, endpoint in (
            ("GET", "/apis/api-keys", self._keys),
            ("GET", "/apis/{id}", self._definition),
            ("POST", "/apis/{id}/gateway-deployments", self._outcome),
            ("GET", paths.DEPLOYMENTS, self._deployments),
            ("POST", paths.FETCH_BATCH, self._batch),
            ("GET", paths.SUBSCRIPTION_PLANS, self._plans),
        ):
            routes.append(Route(path, self._for_gateways(endpoint), methods=[method]))
        handled = dict.fromkeys((_Text, ApiError, HTTPException, Exception), _as_text)
        return Starlette(routes=routes, exception_handlers=handled)

    def _for_gateways(self, endpoint: GatewayEndpoint) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            presented = request.headers.get(paths.TOKEN_HEADER, "").strip()
            if not presented:
                raise _Text(401, "Missing api-key header")
            caller = await self._services.gateway(presented)
            if caller is None:
                raise _Text(401, "Invalid api-key")
            return await endpoint(request, caller)

        return guarded

    async def _definition(self, request: Request, caller: Caller) -> Response:
        if paths.ZIP_TYPE not in request.headers.get("accept", ""):
            rows = await self._services.store.read(
                lambda connection: deployed.rows(connection, caller.gateway_id, None)
            )
            mine = [{"uuid": row["artifactId"]} for row in rows if row["artifactId"] == request.path_params["id"]]
            return as_json({"list": mine})
        data = await self._services.store.read(
            lambda connection: deployed.data_of(connection, caller.gateway_id, request.path_params["id"])
        )
        if data is None:
            return Response(status_code=404)
        body = write_definition("api.yaml", gateway_document(data))
        headers = {"content-disposition": 'attachment; filename="api.zip"'}
        return Response(body, headers=headers, media_type=paths.ZIP_TYPE)

    async def _deployments(self, request: Request, caller: Caller) -> Response:
        since = _time(request.query_params.get("since", ""))
        rows = await self._services.store.read(lambda connection: deployed.rows(connection, caller.gateway_id, since))
        return as_json({"deployments": rows})

    async def _batch(self, request: Request, caller: Caller) -> Response:
        try:
            wanted = msgspec.json.decode(await read_body(request, _MAX_LIST_BODY), type=_BatchRequest)
        except msgspec.DecodeError:
            raise _Text(400, "deploymentIds required") from None
        if not wanted.deployment_ids:
            raise _Text(400, "deploymentIds required")
        found = await self._services.store.read(
            lambda connection: deployed.batch(connection, caller.gateway_id, wanted.deployment_ids)
        )
        body = _tar(
            {f"{deployment_id}/api-{api_id}.yaml": gateway_document(data) for deployment_id, api_id, data in found}
        )
        headers = {"content-disposition": 'attachment; filename="deployments.tar.gz"'}
        return Response(body, headers=headers, media_type="application/x-tar")

    async def _keys(self, request: Request, caller: Caller) -> Response:
        mode = self._services.fault(request, "api_keys_mode")
        if mode == "404":
            return Response(status_code=404)
        status = ACTIVE.upper() if mode == "upper_case" else ACTIVE
        rows: list[dict[str, object]] = []
        if mode != "empty":
            rows = await self._services.store.read(
                lambda connection: deployed.key_rows(connection, caller.gateway_id, status=status)
            )
        return as_json({"list": rows, "count": len(rows)} if mode == "wrapped" else rows)

    async def _plans(self, _request: Request, _caller: Caller) -> Response:
        return as_json([])

    async def _outcome(self, request: Request, caller: Caller) -> Response:
        """An older way to tell how a deployment went; only that it is known counts here."""
        wanted, api_id = request.query_params.get("deploymentId", ""), request.path_params["id"]
        if not wanted:
            raise _Text(400, "deploymentId required")
        rows = await self._services.store.read(lambda connection: deployed.rows(connection, caller.gateway_id, None))
        if not any(row["deploymentId"] == wanted and row["artifactId"] == api_id for row in rows):
            raise _Text(404, "Unknown deployment")
        return as_json({"status": "received"})


class _BatchRequest(msgspec.Struct, rename="camel"):
    deployment_ids: list[str]


async def _as_text(request: Request, problem: Exception) -> Response:
    if isinstance(problem, _Text):
        return Response(problem.text, problem.status, media_type=_TEXT)
    if isinstance(problem, ApiError):
        return Response(problem.message, problem.status, media_type=_TEXT)
    if isinstance(problem, HTTPException):
        return Response(problem.detail, problem.status_code, media_type=_TEXT)
    _log.error("an internal call failed", path=request.url.path, exc_info=problem)
    return Response("Server error", 500, media_type=_TEXT)


def _time(text: str) -> Timestamp | None:
    """A time, None for what is none: it is ignored then."""
    try:
        return Timestamp.parse(text)
    except ValueError:
        return None


def _tar(documents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, document in documents.items():
            info = tarfile.TarInfo(name)
            info.size = len(document)
            info.mode = 0o644
            archive.addfile(info, io.BytesIO(document))
    return buffer.getvalue()
