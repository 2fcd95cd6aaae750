"""`/rest-apis`: create, list, read, replace and delete REST APIs. Source: management API reference, section 8."""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from starlette.responses import Response

from gatewright.artifacts.metadata import ARTIFACT_ID_ANNOTATION
from gatewright.artifacts.problems import InvalidArtifact, MalformedDocument, ValidationProblem
from gatewright.artifacts.restapi_rules import resolve_version
from gatewright.artifacts.restapi_validation import parse_restapi
from gatewright.artifacts.templates import TemplateError
from gatewright.deployment.deployments import Deployments
from gatewright.deployment.requests import ArtifactFilter
from gatewright.deployment.results import Conflict, HandleMismatch, InvalidPin, NotFound
from gatewright.management.bodies import answer, failure, timestamp, unavailable
from gatewright.management.matching import Operation
from gatewright.management.metrics import Outcome, api_operation
from gatewright.management.requests import Call
from gatewright.management.serving import marked
from gatewright.store.errors import StoreUnavailable
from gatewright.store.rows import ArtifactRow

KIND = "RestApi"
ROLES = frozenset({"admin", "developer"})
FILTERS = frozenset({"displayName", "version", "context", "status", "name"})
INVALID = "Configuration validation failed"
_SMALL_BODY_BYTES = 64 * 1024
_SHORT_LIST = 50
_PARSED_AT_ONCE = 2


class ApiManager(Protocol):
    """What these endpoints ask of the sync to an API Manager."""

    async def state(self, row: ArtifactRow) -> dict[str, Any] | None:
        """How far an API is on its way there; None when it does not go there."""
        ...

    async def departed(self, local_id: str) -> None:
        """Returns when it has been told of a deletion, within seconds that a client waits."""
        ...


class RestApis:
    """Endpoints of the collection and of one API."""

    def __init__(self, deployments: Deployments, api_manager: ApiManager | None = None) -> None:
        self._deployments = deployments
        self._api_manager = api_manager
        self._parsing = asyncio.Semaphore(_PARSED_AT_ONCE)

    def operations(self) -> Sequence[Operation]:
        """The table of this resource."""
        return (
            Operation("POST", "/rest-apis", self.create, ROLES),
            Operation("GET", "/rest-apis", self.list, ROLES, FILTERS),
            Operation("GET", "/rest-apis/{id}", self.read, ROLES),
            Operation("PUT", "/rest-apis/{id}", self.replace, ROLES),
            Operation("DELETE", "/rest-apis/{id}", self.delete, ROLES),
        )

    async def create(self, call: Call) -> Response:
        """POST: 201 with the resource."""
        with api_operation("create") as outcome:
            try:
                document = await self._document(call)
            except MalformedDocument as error:
                outcome.invalid("create", "parse_failed")
                return failure(400, f"failed to parse configuration: {error.message}")
            try:
                stored = await self._deployments.create(
                    KIND, document, correlation_id=call.correlation_id, actor=call.user
                )
            except (InvalidArtifact, InvalidPin, Conflict, StoreUnavailable) as error:
                return _refusal(error, "create", outcome)
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
        # The original ignores `name`, but its command line sends it and then stumbles over the other APIs.
        name = call.query.get("name")
        rows = [row for row in rows if not name or name in {row.display_name, row.handle}]
        return _listed(rows) if len(rows) <= _SHORT_LIST else await asyncio.to_thread(_listed, rows)

    async def read(self, call: Call) -> Response:
        """GET one: the document as stored, with its status."""
        try:
            row = await self._deployments.get(KIND, call.path["id"])
            synced = await self._api_manager.state(row) if row and self._api_manager else None
        except StoreUnavailable as error:
            return unavailable(error, "Failed to retrieve API configuration")
        if row is None:
            return _not_found(call)
        found = resource(row)
        if synced is not None:
            found["status"]["apiManager"] = synced
        return answer(found)

    async def replace(self, call: Call) -> Response:
        """PUT: the complete document is replaced."""
        with api_operation("update") as outcome:
            try:
                document = await self._document(call)
            except MalformedDocument as error:
                outcome.invalid("update", "parse_failed")
                return failure(400, f"Failed to parse configuration: {error.message}")
            try:
                stored = await self._deployments.update(
                    KIND, call.path["id"], document, correlation_id=call.correlation_id, actor=call.user
                )
            except HandleMismatch as error:
                outcome.invalid("update", "handle_mismatch")
                return failure(400, error.message)
            except NotFound:
                outcome.succeeded = False
                return _not_found(call)
            except (InvalidArtifact, Conflict, StoreUnavailable) as error:
                return _refusal(error, "update", outcome)
        return marked(answer(resource(stored.row)), stored.change)

    async def delete(self, call: Call) -> Response:
        """DELETE: the API, its keys and subscriptions."""
        handle = call.path["id"]
        with api_operation("delete") as outcome:
            try:
                change = await self._deployments.delete(
                    KIND, handle, correlation_id=call.correlation_id, actor=call.user
                )
            except NotFound:
                outcome.succeeded = False
                return _not_found(call)
            except StoreUnavailable as error:
                outcome.succeeded = False
                return unavailable(error, "Failed to delete configuration")
        if self._api_manager is not None:
            await self._api_manager.departed(change.artifact_id)
        return marked(answer({"status": "success", "message": "RestAPI deleted successfully", "id": handle}), change)

    async def _document(self, call: Call) -> dict[str, Any]:
        """The body, read. A large one is read in a thread, so that others need not wait. Raises MalformedDocument."""
        body = await call.body()
        if len(body) <= _SMALL_BODY_BYTES:
            return parse_restapi(body, call.content_type)
        async with self._parsing:
            return await asyncio.to_thread(parse_restapi, body, call.content_type)


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


def _listed(rows: Sequence[ArtifactRow]) -> Response:
    return answer({"status": "success", "count": len(rows), "apis": [_list_item(row) for row in rows]})


def _list_item(row: ArtifactRow) -> dict[str, Any]:
    """Lists show the context with the version put in (MG-075)."""
    item = resource(row)
    spec = dict(item.get("spec") or {})
    if isinstance(spec.get("context"), str):
        spec["context"] = resolve_version(spec["context"], str(spec.get("version", "")))
    return {**item, "spec": spec}


def _not_found(call: Call) -> Response:
    return failure(404, f"RestAPI with handle '{call.path['id']}' not found")


def _refusal(error: Exception, operation: str, outcome: Outcome) -> Response:
    outcome.succeeded = False
    if isinstance(error, TemplateError):
        outcome.invalid(operation, "render_failed")
        return failure(400, error.message)
    if isinstance(error, InvalidArtifact):
        outcome.invalid(operation, "validation_failed", len(error.problems))
        return failure(400, INVALID, error.problems)
    if isinstance(error, InvalidPin):
        outcome.invalid(operation, "validation_failed")
        problem = ValidationProblem(f"metadata.annotations.{ARTIFACT_ID_ANNOTATION}", error.message)
        return failure(400, INVALID, [problem])
    if isinstance(error, Conflict):
        return failure(409, error.message)
    return unavailable(error, f"Failed to {operation} configuration")
