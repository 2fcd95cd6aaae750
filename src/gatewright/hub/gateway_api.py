"""The REST calls of gateways, below `/api/internal/v1`. Reference: control-plane protocol, section 3.

Everything is confined to the gateway behind the token. Error texts are part of the wire.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, TypeVar

from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from gatewright.hub import (
    artifacts,
    deployments,
    gateways,
    keys,
    manifests,
    plans,
    platform_secrets,
    pushed,
    subscriptions,
)
from gatewright.hub.documents import for_gateway
from gatewright.hub.gateways import Caller
from gatewright.hub.http import as_json, internal_handlers, read_body
from gatewright.hub.problems import ApiError
from gatewright.hub.services import Services
from gatewright.hub.socket import GatewaySocket
from gatewright.hub.watching import Touched
from gatewright.observability.logging import get_logger
from gatewright.wire import paths
from gatewright.wire.archives import attachment_name, batch_entry_name, entry_name, write_batch, write_definition
from gatewright.wire.codec import decode
from gatewright.wire.deployments import BatchRequest, DeploymentList, Existence, ExistenceAnswer, ExistenceRequest
from gatewright.wire.failures import Undecodable
from gatewright.wire.imports import (
    MAX_ZIP_BYTES,
    PART_NAME,
    TOTAL_FIELD,
    decode_import,
    encode_import_answer,
)
from gatewright.wire.kinds import KEY_SYNC_ORDER, NAMES, ArtifactKind
from gatewright.wire.manifest import MAX_MANIFEST_BYTES, decode_manifest
from gatewright.wire.platform_secrets import SecretValue
from gatewright.wire.subscriptions import SubscriptionRow
from gatewright.wire.times import Timestamp

T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]

_MAX_LIST_BODY: Final = 8 * 1_048_576
_MULTIPART_OVERHEAD: Final = 65_536
_DEFINITIONS: Final = tuple(kind for kind in ArtifactKind if NAMES[kind].collection)

_log = get_logger(__name__)


class GatewayApi:
    """All internal endpoints, as an application to be mounted at the base path."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._socket = GatewaySocket(services)

    def application(self) -> Starlette:
        """The application. Key lists come before definitions, so an artifact called `api-keys` is unreachable."""
        routes: list[Route | WebSocketRoute] = [
            WebSocketRoute(paths.WEBSOCKET, self._socket.endpoint),
            Route(paths.WEBSOCKET, self._not_upgraded, methods=["GET"]),
            Route(paths.DEPLOYMENTS, self._deployments, methods=["GET"]),
            Route(paths.FETCH_BATCH, self._batch, methods=["POST"]),
            Route(paths.ARTIFACTS_EXIST, self._exist, methods=["POST"]),
            Route(paths.IMPORT_ARTIFACTS, self._import, methods=["POST"]),
            Route(paths.SUBSCRIPTION_PLANS, self._plans, methods=["GET"]),
            Route(paths.SECRETS, self._secrets, methods=["GET"]),
            Route(f"{paths.SECRETS}/{{handle}}/value", self._secret_value, methods=["GET"]),
            Route("/gateways/{gateway_id}/manifest", self._manifest, methods=["POST"]),
            Route("/apis/{artifact_id}/subscriptions", self._subscriptions, methods=["GET"]),
        ]
        routes.extend(Route(paths.api_keys(kind), self._keys_of(kind), methods=["GET"]) for kind in KEY_SYNC_ORDER)
        routes.extend(
            Route(f"/{NAMES[kind].collection}/{{artifact_id}}", self._definition_of(kind), methods=["GET"])
            for kind in _DEFINITIONS
        )
        return Starlette(routes=routes, exception_handlers=internal_handlers())

    async def _caller(self, request: Request) -> Caller:
        presented = _presented(request)
        caller = await self._services.store.read(lambda connection: gateways.authenticate(connection, presented))
        if caller is None:
            raise _unknown_token()
        return caller

    async def _not_upgraded(self, request: Request) -> Response:
        """A plain GET where an upgrade belongs: the same checks, then the refusal of the upgrade itself."""
        admitted = await self._socket.admit(request)
        return admitted if isinstance(admitted, Response) else Response("Bad Request\n", 400, media_type="text/plain")

    def _definition_of(self, kind: ArtifactKind) -> Endpoint:
        label = NAMES[kind].label

        async def definition(request: Request) -> Response:
            presented, artifact_id = _presented(request), request.path_params["artifact_id"]

            def answer(connection: Connection) -> tuple[Caller | None, str | None]:
                caller = gateways.authenticate(connection, presented)
                if caller is None:
                    return None, None
                return caller, deployments.current_content(connection, caller.gateway_id, kind, artifact_id)

            # One question to the store: a gateway asks it in the middle of a deployment.
            try:
                caller, content = await self._services.store.read(answer)
            except ApiError as error:
                raise ApiError(error.status, error.code, f"{label} not found") from None
            if caller is None:
                raise _unknown_token()
            if content is None:
                raise ApiError(404, "NOT_FOUND", f"No active deployment found for this {label} on this gateway")
            document = for_gateway(content, alpha=gateways.reads_only_alpha(caller.version))
            body = write_definition(entry_name(kind, artifact_id), document.encode())
            disposition = f'attachment; filename="{attachment_name(kind, artifact_id)}"'
            return Response(body, headers={"content-disposition": disposition}, media_type=paths.ZIP_TYPE)

        return definition

    async def _deployments(self, request: Request) -> Response:
        caller = await self._caller(request)
        since = _since(
            request,
            "since",
            "Invalid 'since' parameter. Expected ISO 8601 format (e.g., 2026-03-04T10:00:00Z)",
        )
        rows = await self._services.store.read(
            lambda connection: deployments.wire_rows(connection, caller.gateway_id, since)
        )
        return as_json(DeploymentList(deployments=tuple(rows)))

    async def _batch(self, request: Request) -> Response:
        caller = await self._caller(request)
        if request.headers.get("accept", "") != paths.BATCH_TYPE:
            raise ApiError(406, "NOT_ACCEPTABLE", f"This endpoint only supports Accept: {paths.BATCH_TYPE}")
        wanted = _decoded(await read_body(request, _MAX_LIST_BODY), BatchRequest)
        if not wanted.deployment_ids:
            raise ApiError(400, "VALIDATION_FAILED", "At least one deployment ID is required")
        rows = await self._services.store.read(
            lambda connection: deployments.contents(connection, caller.gateway_id, wanted.deployment_ids)
        )
        alpha = gateways.reads_only_alpha(caller.version)
        body = write_batch(
            {
                row.id: (batch_entry_name(row.kind, row.artifact_id), for_gateway(row.content, alpha=alpha).encode())
                for row in rows
            },
        )
        disposition = f'attachment; filename="deployments-batch-{caller.gateway_id}.tar.gz"'
        return Response(body, headers={"content-disposition": disposition}, media_type=paths.BATCH_TYPE)

    async def _exist(self, request: Request) -> Response:
        await self._caller(request)
        wanted = _decoded(await read_body(request, _MAX_LIST_BODY), ExistenceRequest)
        found = await self._services.store.read(lambda connection: artifacts.existing(connection, wanted.artifact_ids))
        answers = (Existence(artifact_id=each, exists=each in found) for each in wanted.artifact_ids)
        return as_json(ExistenceAnswer(artifacts=tuple(answers)))

    async def _plans(self, request: Request) -> Response:
        await self._caller(request)
        return as_json(await self._services.store.read(plans.wire_rows))

    async def _subscriptions(self, request: Request) -> Response:
        caller = await self._caller(request)
        artifact_id = request.path_params["artifact_id"]

        def rows(connection: Connection) -> list[SubscriptionRow]:
            if not artifacts.existing(connection, (artifact_id,)):
                raise ApiError(404, "NOT_FOUND", "API not found")
            if not deployments.is_associated(connection, artifact_id, caller.gateway_id):
                raise ApiError(403, "FORBIDDEN", "API is not associated with this gateway")
            return subscriptions.wire_rows(connection, self._services.store.vault, artifact_id)

        return as_json(await self._services.store.read(rows))

    def _keys_of(self, kind: ArtifactKind) -> Endpoint:
        async def api_keys(request: Request) -> Response:
            caller = await self._caller(request)
            issuer = request.query_params.get("issuer", "")
            rows = await self._services.store.read(
                lambda connection: keys.wire_rows(connection, caller.gateway_id, kind, issuer)
            )
            return as_json(rows)

        return api_keys

    async def _secrets(self, request: Request) -> Response:
        caller = await self._caller(request)
        after = _since(request, "updatedAfter", "Invalid 'updatedAfter' parameter. Expected RFC 3339 format")
        values = request.query_params.get("includeValues", "").lower() == "true"
        vault = self._services.store.vault
        return as_json(
            await self._services.store.read(
                lambda connection: platform_secrets.wire_list(
                    connection, vault, caller.gateway_id, values=values, after=after
                )
            )
        )

    async def _secret_value(self, request: Request) -> Response:
        caller = await self._caller(request)
        handle, vault = request.path_params["handle"], self._services.store.vault
        value = await self._services.store.read(
            lambda connection: platform_secrets.wire_value(connection, vault, caller.gateway_id, handle)
        )
        return as_json(SecretValue(value=value))

    async def _manifest(self, request: Request) -> Response:
        """The gateway in the path does not count, the token's does."""
        caller = await self._caller(request)
        body = await read_body(request, MAX_MANIFEST_BYTES)
        manifest = decode_manifest(body)
        if isinstance(manifest, Undecodable):
            raise ApiError(400, "VALIDATION_FAILED", f"Invalid request body: {manifest.reason}")
        config = self._services.config
        rules = manifests.Verification(version=config.verify_gateway_version, type=config.verify_functionality)
        await self._services.store.write(lambda unit: manifests.keep(unit, caller.gateway_id, manifest, rules))
        self._services.watchers.tell(Touched(gateway_id=caller.gateway_id))
        return Response(status_code=204)

    async def _import(self, request: Request) -> Response:
        caller = await self._caller(request)
        archive, total = await _import_parts(request)
        entries = decode_import(archive)
        if isinstance(entries, Undecodable):
            raise ApiError(400, "VALIDATION_FAILED", entries.reason)
        if total and total != str(len(entries)):
            _log.warning("announced and actual number of artifacts differ", gateway=caller.gateway_id)
        projects = self._services.config.projects
        results = await self._services.store.write(
            lambda unit: pushed.process(unit, caller.gateway_id, entries, projects=projects)
        )
        touched = (Touched(gateway_id=caller.gateway_id, artifact_id=result.id) for result in results.values())
        self._services.watchers.tell(*(change for change in touched if change.artifact_id))
        return Response(encode_import_answer(results), media_type=paths.JSON_TYPE)


def _decoded(body: bytes, kind: type[T]) -> T:
    value = decode(body, kind, "body")
    if isinstance(value, Undecodable):
        raise ApiError(400, "VALIDATION_FAILED", f"Invalid request body: {value.reason}")
    return value


def _presented(request: Request) -> str:
    presented = request.headers.get(paths.TOKEN_HEADER, "")
    if not presented:
        raise ApiError(401, "UNAUTHORIZED", "API key is required. Provide 'api-key' header.")
    return presented


def _unknown_token() -> ApiError:
    return ApiError(401, "UNAUTHORIZED", "Invalid or expired API key")


def _since(request: Request, name: str, complaint: str) -> Timestamp | None:
    text = request.query_params.get(name, "")
    if not text:
        return None
    try:
        return Timestamp.parse(text)
    except ValueError:
        raise ApiError(400, "VALIDATION_FAILED", complaint) from None


async def _import_parts(request: Request) -> tuple[bytes, str]:
    """The archive and the announced number of a multipart push. ApiError 400."""
    content_type = request.headers.get("content-type", "")
    if not content_type.startswith("multipart/form-data"):
        raise ApiError(400, "VALIDATION_FAILED", "Expected a multipart/form-data body")
    try:
        body = await read_body(request, MAX_ZIP_BYTES + _MULTIPART_OVERHEAD)
    except ApiError as error:
        # The original knows only 400 here, and gateways may tell the two apart.
        raise ApiError(400 if error.status == 413 else error.status, error.code, error.message) from None

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body
        yield b""

    parser = MultiPartParser(request.headers, stream(), max_files=4, max_fields=16)
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError, KeyError):
        raise ApiError(400, "VALIDATION_FAILED", "The multipart body cannot be read") from None
    try:
        part = form.get(PART_NAME)
        if not isinstance(part, UploadFile):
            raise ApiError(400, "VALIDATION_FAILED", f"The file part '{PART_NAME}' is missing")
        total = form.get(TOTAL_FIELD)
        return await part.read(), total if isinstance(total, str) else ""
    finally:
        await form.close()
