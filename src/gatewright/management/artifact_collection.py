"""Create, list, read, replace and delete for the kinds whose problems are told in one flattened message.

`llm_providers.py`, `llm_proxies.py`, `mcp_proxies.py` and `llm_provider_templates.py` say how each kind answers.
Credentials of upstreams are in no answer. Source: management API reference, sections 5, 6.5, 6.8, 9 to 12.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from starlette.responses import Response

from gatewright.artifacts.credentials import without_credentials
from gatewright.artifacts.document_kinds import DocumentKind, parse_kind
from gatewright.artifacts.problems import InvalidArtifact, MalformedDocument, ValidationProblem
from gatewright.artifacts.templates import TemplateError
from gatewright.deployment.deployments import Deployments
from gatewright.deployment.requests import ArtifactFilter
from gatewright.deployment.results import DeploymentError, NotFound
from gatewright.management.bodies import answer, timestamp, unavailable
from gatewright.management.matching import Operation
from gatewright.management.metrics import API_TYPES, Outcome, api_operation
from gatewright.management.requests import Call
from gatewright.management.serving import marked
from gatewright.store.errors import StoreUnavailable
from gatewright.store.rows import ArtifactRow

Step = Literal["create", "list", "read", "update", "delete"]
Refusal = InvalidArtifact | DeploymentError | StoreUnavailable

READERS = frozenset({"admin", "developer"})
ADMINS = frozenset({"admin"})
FILTERS = frozenset({"displayName", "version", "context", "status", "name"})
_SMALL_BODY_BYTES = 64 * 1024
_SHORT_LIST = 50
_PARSED_AT_ONCE = 2


class ArtifactCollection(ABC):
    """Endpoints of one kind. `member` names its list in answers, `deleted` is what a deletion says.

    `unavailable` begins the text when the database is away.
    """

    described: ClassVar[DocumentKind]
    collection: ClassVar[str]
    member: ClassVar[str]
    deleted: ClassVar[str]
    readers: ClassVar[frozenset[str]] = READERS
    writers: ClassVar[frozenset[str]] = READERS
    filters: ClassVar[frozenset[str]] = FILTERS
    unavailable: ClassVar[Mapping[Step, str]]

    def __init__(self, deployments: Deployments) -> None:
        self._deployments = deployments
        self._parsing = asyncio.Semaphore(_PARSED_AT_ONCE)
        self._kind = self.described.kind

    def operations(self) -> Sequence[Operation]:
        """The table of this resource."""
        all_of, one = f"/{self.collection}", f"/{self.collection}/{{id}}"
        return (
            Operation("POST", all_of, self.create, self.writers),
            Operation("GET", all_of, self.list, self.readers, self.filters),
            Operation("GET", one, self.read, self.readers),
            Operation("PUT", one, self.replace, self.writers),
            Operation("DELETE", one, self.delete, self.writers),
        )

    @abstractmethod
    def invalid(self, error: InvalidArtifact, step: Step) -> Response:
        """The answer to a document that is refused."""

    @abstractmethod
    def refused(self, error: DeploymentError, step: Step, handle: str) -> Response:
        """The answer to what stands in the way; `handle` is empty for POST."""

    async def create(self, call: Call) -> Response:
        """POST: 201 with the resource."""
        with api_operation("create", API_TYPES[self._kind]) as outcome:
            try:
                stored = await self._deployments.create(
                    self._kind, await self._document(call), correlation_id=call.correlation_id, actor=call.user
                )
            except (InvalidArtifact, DeploymentError, StoreUnavailable) as error:
                _count(outcome, "create", error)
                return self._answer(error, "create")
        return marked(answer(self._resource(stored.row), 201), stored.change)

    async def list(self, call: Call) -> Response:
        """GET: newest first; filters combine, empty ones do not count."""
        filters = ArtifactFilter(
            version=call.query.get("version"), context=call.query.get("context"), state=call.query.get("status")
        )
        try:
            rows = await self._deployments.list(self._kind, filters)
        except StoreUnavailable as error:
            return self._answer(error, "list")
        rows = [row for row in rows if _matches(row, call)]
        return self._listed(rows) if len(rows) <= _SHORT_LIST else await asyncio.to_thread(self._listed, rows)

    async def read(self, call: Call) -> Response:
        """GET one: the document as stored, with its status."""
        try:
            return answer(self._resource(await self._existing(call.path["id"])))
        except (NotFound, StoreUnavailable) as error:
            return self._answer(error, "read", call.path["id"])

    async def replace(self, call: Call) -> Response:
        """PUT: the complete document is replaced, but for credentials that it does not repeat."""
        handle = call.path["id"]
        with api_operation("update", API_TYPES[self._kind]) as outcome:
            try:
                await self._existing(handle)
                stored = await self._deployments.update(
                    self._kind, handle, await self._document(call), correlation_id=call.correlation_id, actor=call.user
                )
            except (InvalidArtifact, DeploymentError, StoreUnavailable) as error:
                _count(outcome, "update", error)
                return self._answer(error, "update", handle)
        return marked(answer(self._resource(stored.row)), stored.change)

    async def delete(self, call: Call) -> Response:
        """DELETE: the artifact and its keys."""
        handle = call.path["id"]
        with api_operation("delete", API_TYPES[self._kind]) as outcome:
            try:
                change = await self._deployments.delete(
                    self._kind, handle, correlation_id=call.correlation_id, actor=call.user
                )
            except (DeploymentError, StoreUnavailable) as error:
                outcome.succeeded = False
                return self._answer(error, "delete", handle)
        return marked(answer({"status": "success", "message": self.deleted, "id": handle}), change)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _answer(self, error: Refusal, step: Step, handle: str = "") -> Response:
        if isinstance(error, InvalidArtifact):
            return self.invalid(error, step)
        if isinstance(error, DeploymentError):
            return self.refused(error, step, handle)
        return unavailable(error, self.unavailable[step])

    async def _existing(self, handle: str) -> ArtifactRow:
        row = await self._deployments.get(self._kind, handle)
        if row is None:
            raise NotFound(f"configuration not found: handle={handle}")
        return row

    async def _document(self, call: Call) -> dict[str, Any]:
        """The body, read. A large one is read in a thread, so that others need not wait. Raises MalformedDocument."""
        body = await call.body()
        if len(body) <= _SMALL_BODY_BYTES:
            return parse_kind(body, call.content_type, self.described)
        async with self._parsing:
            return await asyncio.to_thread(parse_kind, body, call.content_type, self.described)

    def _resource(self, row: ArtifactRow) -> dict[str, Any]:
        """A stored artifact as clients see it."""
        return {**without_credentials(row.document, self.described.credentials), "status": self._status(row)}

    def _status(self, row: ArtifactRow) -> dict[str, Any]:
        status: dict[str, Any] = {
            "id": row.handle,
            "state": row.desired_state,
            "createdAt": timestamp(row.created_at),
            "updatedAt": timestamp(row.updated_at),
        }
        if row.deployed_at is not None:
            status["deployedAt"] = timestamp(row.deployed_at)
        return status

    def _listed(self, rows: Sequence[ArtifactRow]) -> Response:
        items = [self._resource(row) for row in rows]
        return answer({"status": "success", "count": len(items), self.member: items})


def flattened(problems: Sequence[ValidationProblem]) -> str:
    """`1. <field>: <message>; 2. …`."""
    return "; ".join(f"{number}. {each.field}: {each.message}" for number, each in enumerate(problems, 1))


def _matches(row: ArtifactRow, call: Call) -> bool:
    spec = row.document.get("spec") or {}
    name = call.query.get("name")
    return (
        all(
            not call.query.get(member) or spec.get(member, "") == call.query[member]
            for member in ("displayName", "vhost")
        )
        # The original ignores `name`, but its command line sends it.
        and (not name or name in {row.handle, spec.get("displayName")})
    )


def _count(outcome: Outcome, operation: str, error: Exception) -> None:
    outcome.succeeded = False
    if isinstance(error, MalformedDocument):
        outcome.invalid(operation, "parse_failed")
    elif isinstance(error, TemplateError):
        outcome.invalid(operation, "render_failed")
    elif isinstance(error, InvalidArtifact):
        outcome.invalid(operation, "validation_failed", len(error.problems))
