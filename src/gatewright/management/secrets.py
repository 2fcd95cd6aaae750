"""`/secrets`, for administrators. Source: management API reference, section 17.

The value is in the answer to GET of one secret and in no other.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import SecretStr
from starlette.responses import Response

from gatewright.artifacts.document_kinds import parse_kind
from gatewright.artifacts.problems import InvalidArtifact, MalformedDocument
from gatewright.artifacts.secret import KIND, SECRET, Secret, read_secret
from gatewright.deployment.results import Conflict, DeploymentError, NotFound
from gatewright.deployment.secrets import Secrets
from gatewright.management.artifact_collection import ADMINS, flattened
from gatewright.management.bodies import answer, failure, timestamp, unavailable
from gatewright.management.matching import Operation
from gatewright.management.requests import BodyTooLarge, Call
from gatewright.store.errors import KeyFileError, StoreUnavailable
from gatewright.store.secrets import SecretRow

LARGEST_BODY_BYTES = 11_264
LONGEST_ID = 255
_API_VERSION = "gateway.api-platform.wso2.com/v1"


class SecretDocuments:
    """Endpoints of secrets."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def operations(self) -> Sequence[Operation]:
        """The table of this resource."""
        return (
            Operation("POST", "/secrets", self.create, ADMINS),
            Operation("GET", "/secrets", self.list, ADMINS),
            Operation("GET", "/secrets/{id}", self.read, ADMINS),
            Operation("PUT", "/secrets/{id}", self.replace, ADMINS),
            Operation("DELETE", "/secrets/{id}", self.delete, ADMINS),
        )

    async def create(self, call: Call) -> Response:
        """POST: 201 without the value."""
        try:
            row = await self._secrets.create(await _secret(call))
        except (BodyTooLarge, InvalidArtifact) as error:
            return _bad_request(error)
        except (Conflict, KeyFileError, StoreUnavailable) as error:
            return _refused(error, "storage failed")
        return answer(_resource(row), 201)

    async def list(self, call: Call) -> Response:
        """GET: newest first, names only."""
        del call
        try:
            rows = await self._secrets.list()
        except StoreUnavailable as error:
            return unavailable(error, "Failed to retrieve secretsList")
        items = [_resource(row, described=False) for row in rows]
        return answer({"status": "success", "count": len(items), "secrets": items})

    async def read(self, call: Call) -> Response:
        """GET one: with its value."""
        handle = call.path["id"]
        try:
            found = await self._secrets.get(handle)
        except KeyFileError as error:
            return failure(500, f"Failed to decrypt secret: {error}")
        except StoreUnavailable as error:
            return unavailable(error, "Failed to retrieve secret")
        if found is None:
            return failure(404, f"configuration not found: id={handle}")
        row, value = found
        return answer(_resource(row, value=value))

    async def replace(self, call: Call) -> Response:
        """PUT: value and description are replaced; another name is refused."""
        handle = call.path["id"]
        try:
            if len(handle) > LONGEST_ID:
                return failure(400, f"Secret ID too long (max {LONGEST_ID} characters)")
            secret = await _secret(call)
            if secret.handle != handle:
                return failure(
                    400,
                    f"secret id in payload ('{secret.handle}') does not match the URL path id ('{handle}'):"
                    " renaming secrets is not supported",
                )
            row = await self._secrets.update(secret)
        except (BodyTooLarge, InvalidArtifact) as error:
            return _bad_request(error)
        except NotFound as error:
            return failure(404, f"secret configuration not found: id={handle}: {error.message}")
        except (KeyFileError, StoreUnavailable) as error:
            return _refused(error, "storage update failed")
        return answer(_resource(row))

    async def delete(self, call: Call) -> Response:
        """DELETE: 200 with an empty body (MG-155)."""
        try:
            await self._secrets.delete(call.path["id"])
        except NotFound as error:
            return failure(404, error.message)
        except StoreUnavailable as error:
            return unavailable(error, "Failed to delete secret")
        return Response(b"", 200)


async def _secret(call: Call) -> Secret:
    """The body, checked. Raises BodyTooLarge, MalformedDocument, InvalidArtifact."""
    return read_secret(parse_kind(await call.body(LARGEST_BODY_BYTES), call.content_type, SECRET))


def _resource(row: SecretRow, *, described: bool = True, value: SecretStr | None = None) -> dict[str, Any]:
    spec = {"displayName": row.display_name}
    if described and row.description:
        spec["description"] = row.description
    if value is not None:
        spec["value"] = value.get_secret_value()
    return {
        "apiVersion": _API_VERSION,
        "kind": KIND,
        "metadata": {"name": row.handle},
        "spec": spec,
        "status": {
            "id": row.handle,
            "createdAt": timestamp(row.created_at),
            "updatedAt": timestamp(row.updated_at),
        },
    }


def _bad_request(error: BodyTooLarge | InvalidArtifact) -> Response:
    match error:
        case BodyTooLarge():
            text = "Request body too large or unreadable"
        case MalformedDocument(message=message):
            text = f"failed to parse configuration: {message}"
        case _:
            problems = error.problems
            text = f"configuration validation failed with {len(problems)} error(s): {flattened(problems)}"
    return failure(400, text)


def _refused(error: DeploymentError | KeyFileError | StoreUnavailable, what: str) -> Response:
    if isinstance(error, DeploymentError):
        return failure(409, f"{what}: {error.message}")
    if isinstance(error, KeyFileError):
        return failure(500, f"encryption failed: {error}")
    return unavailable(error, what)
