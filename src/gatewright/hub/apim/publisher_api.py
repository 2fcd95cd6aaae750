"""The part of the Publisher REST API v4 that gateways and the people beside them use."""

from typing import Any, Final

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gatewright.hub.apim import api_views, archive, deploying, publishing
from gatewright.hub.apim.guard import Guard
from gatewright.hub.apim.importing_api import ImportApi
from gatewright.hub.apim.multipart import read_part
from gatewright.hub.apim.oauth import Bearer
from gatewright.hub.apim.problems import Refusal
from gatewright.hub.apim.project import Target
from gatewright.hub.apim.queries import flag, page
from gatewright.hub.apim.services import Services
from gatewright.hub.http import as_json, read_json
from gatewright.hub.store import Unit
from gatewright.wire.paths import JSON_TYPE

PUBLISHER_BASE: Final = "/api/am/publisher/v4"

_VIEW: Final = ("apim:api_view", "apim:api_manage")
_CREATE: Final = ("apim:api_create", "apim:api_manage")
_EDIT: Final = ("apim:api_create", "apim:api_publish", "apim:api_manage")
_PUBLISH: Final = ("apim:api_publish", "apim:api_manage")
_DEPLOY: Final = ("apim:api_publish", "apim:api_manage", "apim:api_import_export")
_DELETE: Final = ("apim:api_delete", "apim:api_manage")

_MAX_DEFINITION: Final = 8 * 1_048_576
_MAX_API: Final = 8 * 1_048_576
_MAX_TEXT: Final = 255


class _DeploymentRequest(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    vhost: str | None = None
    display_on_devportal: bool = True


class _RevisionRequest(msgspec.Struct, frozen=True):
    description: str | None = None


class PublisherApi:
    """APIs, revisions, deployments."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._import = ImportApi(services)

    def routes(self) -> list[Route]:
        """At the root of the server. `import` and `change-lifecycle` come before ids."""
        guard = Guard(self._services)
        table = [
            ("POST", "/apis/import", self._import.endpoint, ("apim:api_import_export",)),
            ("POST", "/apis/change-lifecycle", self._change_lifecycle, _PUBLISH),
            ("GET", "/apis", self._list, _VIEW),
            ("POST", "/apis", self._create, _CREATE),
            ("GET", "/apis/{id}", self._get, _VIEW),
            ("PUT", "/apis/{id}", self._edit, _EDIT),
            ("DELETE", "/apis/{id}", self._delete, _DELETE),
            ("GET", "/apis/{id}/lifecycle-state", self._lifecycle_state, _VIEW),
            ("GET", "/apis/{id}/swagger", self._swagger, _VIEW),
            ("PUT", "/apis/{id}/swagger", self._edit_swagger, _EDIT),
            ("GET", "/apis/{id}/revisions", self._revisions, _VIEW),
            ("POST", "/apis/{id}/revisions", self._create_revision, _EDIT),
            ("DELETE", "/apis/{id}/revisions/{revision}", self._delete_revision, _EDIT),
            ("GET", "/apis/{id}/deployments", self._deployments, _VIEW),
            ("POST", "/apis/{id}/deploy-revision", self._deploy, _DEPLOY),
            ("POST", "/apis/{id}/undeploy-revision", self._undeploy, _DEPLOY),
        ]
        return [
            Route(PUBLISHER_BASE + path, guard(endpoint, *scopes), methods=[method])
            for method, path, endpoint, scopes in table
        ]

    async def _list(self, request: Request, _caller: Bearer) -> Response:
        offset, limit = page(request)
        query = request.query_params.get("query", "")
        found, total = await self._services.store.read(
            lambda connection: api_views.listed(connection, query, offset, limit)
        )
        pagination = {"offset": offset, "limit": limit, "total": total}
        return as_json({"count": len(found), "list": found, "pagination": pagination})

    async def _create(self, request: Request, caller: Bearer) -> Response:
        wanted = await read_json(request, dict[str, Any], _MAX_API)
        api_id = await self._services.store.write(lambda unit: publishing.create(unit, wanted, caller.user))
        headers = {"location": f"{PUBLISHER_BASE}/apis/{api_id}"}
        return as_json(await self._shown(api_id), 201, headers)

    async def _get(self, request: Request, _caller: Bearer) -> Response:
        return as_json(await self._shown(request.path_params["id"]))

    async def _edit(self, request: Request, caller: Bearer) -> Response:
        api_id, wanted = request.path_params["id"], await read_json(request, dict[str, Any], _MAX_API)
        await self._services.store.write(lambda unit: publishing.edit(unit, api_id, wanted, caller.user))
        return as_json(await self._shown(api_id))

    async def _delete(self, request: Request, caller: Bearer) -> Response:
        api_id = request.path_params["id"]
        await self._services.store.write(lambda unit: publishing.remove(unit, api_id, caller.user))
        return Response(status_code=200)

    async def _change_lifecycle(self, request: Request, _caller: Bearer) -> Response:
        api_id, action = request.query_params.get("apiId", ""), request.query_params.get("action", "")
        state = await self._services.store.write(lambda unit: publishing.change_state(unit, api_id, action))
        return as_json({"workflowStatus": "APPROVED", "lifecycleState": _state(state)})

    async def _lifecycle_state(self, request: Request, _caller: Bearer) -> Response:
        row = await self._services.store.read(lambda connection: publishing.find(connection, request.path_params["id"]))
        return as_json(_state(row.state))

    async def _swagger(self, request: Request, _caller: Bearer) -> Response:
        mode, api_id = self._services.fault(request, "swagger_mode"), request.path_params["id"]
        if mode == "404":
            raise Refusal(404, f"Requested API with Id '{api_id}' not found", code=900404)
        if mode == "500":
            raise Refusal(500, "Error while retrieving the definition.")
        body = await self._services.store.read(lambda connection: publishing.swagger(connection, api_id))
        return Response(body, media_type=JSON_TYPE)

    async def _edit_swagger(self, request: Request, caller: Bearer) -> Response:
        part = await read_part(request, "apiDefinition", _MAX_DEFINITION)
        definition, api_id = archive.read_document(part.content, "apiDefinition"), request.path_params["id"]
        await self._services.store.write(lambda unit: publishing.edit_definition(unit, api_id, definition, caller.user))
        body = await self._services.store.read(lambda connection: publishing.swagger(connection, api_id))
        return Response(body, media_type=JSON_TYPE)

    async def _revisions(self, request: Request, _caller: Bearer) -> Response:
        api_id, query = request.path_params["id"], request.query_params.get("query", "")

        def work(connection: Connection) -> list[dict[str, object]]:
            publishing.find(connection, api_id)
            return deploying.revision_views(connection, api_id)

        found = await self._services.store.read(work)
        if query in {"deployed:true", "deployed:false"}:
            found = [each for each in found if bool(each["deploymentInfo"]) is (query == "deployed:true")]
        return as_json({"count": len(found), "list": found})

    async def _create_revision(self, request: Request, caller: Bearer) -> Response:
        api_id, wanted = request.path_params["id"], await read_json(request, _RevisionRequest)
        description = (wanted.description or "")[:_MAX_TEXT]

        def work(unit: Unit) -> dict[str, object]:
            api = publishing.find(unit.connection, api_id)
            revision_id = deploying.create_revision(unit, api, rotate=False, user=caller.user)
            deploying.describe(unit, revision_id, description)
            return next(each for each in deploying.revision_views(unit.connection, api_id) if each["id"] == revision_id)

        return as_json(await self._services.store.write(work), 201)

    async def _delete_revision(self, request: Request, _caller: Bearer) -> Response:
        api_id, revision_id = request.path_params["id"], request.path_params["revision"]
        await self._services.store.write(lambda unit: deploying.delete_revision(unit, api_id, revision_id))
        found = await self._services.store.read(lambda connection: deploying.revision_views(connection, api_id))
        return as_json({"count": len(found), "list": found})

    async def _deployments(self, request: Request, _caller: Bearer) -> Response:
        api_id = request.path_params["id"]
        found = await self._services.store.read(lambda connection: deploying.deployment_views(connection, api_id))
        return as_json({"count": len(found), "list": found})

    async def _deploy(self, request: Request, caller: Bearer) -> Response:
        api_id, revision_id = request.path_params["id"], request.query_params.get("revisionId", "")
        wanted = await read_json(request, list[_DeploymentRequest])
        targets = [Target(each.name, each.display_on_devportal, each.vhost or "") for each in wanted]
        if not targets:
            raise Refusal(400, "Name the environments to deploy to.")

        def work(unit: Unit) -> list[dict[str, object]]:
            api = publishing.find(unit.connection, api_id)
            deploying.deploy(unit, api, revision_id, targets, user=caller.user, announce=True)
            return deploying.deployment_views(unit.connection, api_id, revision_id)

        return as_json(await self._services.store.write(work), 201)

    async def _undeploy(self, request: Request, caller: Bearer) -> Response:
        mode = self._services.fault(request, "undeploy_mode")
        if mode in {"404", "500"}:
            raise Refusal(int(mode), "The revision cannot be undeployed now.")
        api_id, revision_id = request.path_params["id"], request.query_params.get("revisionId", "")
        wanted = await read_json(request, list[_DeploymentRequest])
        mismatching = self._services.fault(request, "undeploy_id_mode") == "mismatching"
        every = flag(request, "allEnvironments", default=False)
        if not wanted and not every:
            raise Refusal(400, "Name the environments to undeploy from.")

        def work(unit: Unit) -> list[dict[str, object]]:
            publishing.find(unit.connection, api_id)
            names = [each.name for each in wanted] or deploying.everywhere(unit.connection, api_id, revision_id)
            deploying.undeploy(unit, api_id, revision_id, names, user=caller.user, mismatching=mismatching)
            return deploying.deployment_views(unit.connection, api_id)

        return as_json(await self._services.store.write(work), int(mode))

    async def _shown(self, api_id: str) -> dict[str, object]:
        return await self._services.store.read(lambda connection: api_views.view(connection, api_id))


def _state(state: str) -> dict[str, object]:
    transitions = publishing.TRANSITIONS[state].items()
    return {"state": state, "availableTransitions": [{"event": event, "targetState": to} for event, to in transitions]}
