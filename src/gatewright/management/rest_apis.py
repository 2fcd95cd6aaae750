"""`/rest-apis`: create, list, read, replace and delete REST APIs. Source: management API reference, section 8."""

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from gatewright.artifacts.parsing import parse_document
from gatewright.artifacts.problems import InvalidArtifact, MalformedDocument
from gatewright.artifacts.templates import TemplateError
from gatewright.deployment.deployments import Deployments
from gatewright.deployment.requests import ArtifactFilter
from gatewright.deployment.results import Conflict, HandleMismatch, InvalidPin, NotFound
from gatewright.management.bodies import answer, failure, timestamp, unavailable
from gatewright.management.mux import Operation
from gatewright.management.requests import Call
from gatewright.management.serving import marked
from gatewright.store.errors import StoreUnavailable
from gatewright.store.rows import ArtifactRow

KIND = "RestApi"
READERS = frozenset({"admin", "developer"})
FILTERS = frozenset({"displayName", "version", "context", "status"})


class RestApis:
    """Endpoints of the collection and of one API."""

    def __init__(self, deployments: Deployments) -> None:
        self._deployments = deployments

    def operations(self) -> Sequence[Operation]:
        """The table of this resource."""
        return (
            Operation("POST", "/rest-apis", self.create, READERS),
            Operation("GET", "/rest-apis", self.list, READERS, FILTERS),
            Operation("GET", "/rest-apis/{id}", self.read, READERS),
            Operation("PUT", "/rest-apis/{id}", self.replace, READERS),
            Operation("DELETE", "/rest-apis/{id}", self.delete, READERS),
        )

    async def create(self, call: Call) -> Response:
        """POST: 201 with the resource."""
        try:
            document = parse_document(await call.body(), call.content_type)
            stored = await self._deployments.create(KIND, document, correlation_id=call.correlation_id, actor=call.user)
        except MalformedDocument as error:
            return failure(400, f"failed to parse configuration: {error.message}")
        except InvalidPin:
            return failure(500, "Failed to create configuration")
        except (TemplateError, InvalidArtifact, Conflict, StoreUnavailable) as error:
            return _refusal(error, "Failed to create configuration")
        return marked(answer(resource(stored.row), 201), stored.change)

    async def list(self, call: Call) -> Response:
        """GET: all APIs, newest first; filters combine."""
        filters = ArtifactFilter(
            display_name=call.query.get("displayName"),
            version=call.query.get("version"),
            context=call.query.get("context"),
            state=call.query.get("status"),
        )
        try:
            rows = await self._deployments.list(KIND, filters)
        except StoreUnavailable as error:
            return unavailable(error, "Failed to retrieve API configurations")
        return answer({"status": "success", "count": len(rows), "apis": [_list_item(row) for row in rows]})

    async def read(self, call: Call) -> Response:
        """GET one: the document as stored, with its status."""
        try:
            row = await self._deployments.get(KIND, call.path["id"])
        except StoreUnavailable as error:
            return unavailable(error, "Failed to retrieve API configuration")
        return answer(resource(row)) if row else _not_found(call)

    async def replace(self, call: Call) -> Response:
        """PUT: the complete document is replaced."""
        try:
            document = parse_document(await call.body(), call.content_type)
            stored = await self._deployments.update(
                KIND, call.path["id"], document, correlation_id=call.correlation_id, actor=call.user
            )
        except MalformedDocument as error:
            return failure(400, f"Failed to parse configuration: {error.message}")
        except HandleMismatch as error:
            return failure(400, error.message)
        except NotFound:
            return _not_found(call)
        except (TemplateError, InvalidArtifact, Conflict, StoreUnavailable) as error:
            return _refusal(error, "Failed to update configuration")
        return marked(answer(resource(stored.row)), stored.change)

    async def delete(self, call: Call) -> Response:
        """DELETE: the API, its keys and subscriptions."""
        handle = call.path["id"]
        try:
            change = await self._deployments.delete(KIND, handle, correlation_id=call.correlation_id, actor=call.user)
        except NotFound:
            return _not_found(call)
        except StoreUnavailable as error:
            return unavailable(error, "Failed to delete configuration")
        return marked(answer({"status": "success", "message": "RestAPI deleted successfully", "id": handle}), change)


def resource(row: ArtifactRow) -> dict[str, Any]:
    """A stored artifact as clients see it."""
    status: dict[str, Any] = {
        "id": row.handle,
        "state": row.desired_state,
        "createdAt": timestamp(row.created_at),
        "updatedAt": timestamp(row.updated_at),
    }
    if row.deployed_at is not None:
        status["deployedAt"] = timestamp(row.deployed_at)
    return {**row.document, "status": status}


def _list_item(row: ArtifactRow) -> dict[str, Any]:
    """Lists show the context with the version put in (MG-075)."""
    item = resource(row)
    spec = dict(item.get("spec") or {})
    if isinstance(spec.get("context"), str):
        spec["context"] = spec["context"].replace("$version", str(spec.get("version", "")))
    return {**item, "spec": spec}


def _not_found(call: Call) -> Response:
    return failure(404, f"RestAPI with handle '{call.path['id']}' not found")


def _refusal(error: Exception, otherwise: str) -> Response:
    if isinstance(error, TemplateError):
        return failure(400, error.message)
    if isinstance(error, InvalidArtifact):
        return failure(400, "Configuration validation failed", error.problems)
    if isinstance(error, Conflict):
        return failure(409, error.message)
    return unavailable(error, otherwise)
