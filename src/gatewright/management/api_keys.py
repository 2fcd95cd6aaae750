"""`/…/{id}/api-keys`: create, list, update, regenerate, revoke. Source: management API reference, section 13."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from pydantic import SecretStr
from starlette.responses import Response

from gatewright.artifacts.limits import Limits
from gatewright.artifacts.parsing import parse_json, parse_yaml
from gatewright.artifacts.problems import MalformedDocument
from gatewright.deployment.deployments import Deployments
from gatewright.deployment.requests import ExpiresIn, KeyRequest
from gatewright.deployment.results import (
    Conflict,
    DeploymentError,
    KeyCreated,
    KeyNotFound,
    KeyRefused,
    NotFound,
)
from gatewright.management.bodies import answer, failure, timestamp, unavailable
from gatewright.management.matching import Operation
from gatewright.management.requests import Call
from gatewright.management.serving import marked
from gatewright.store.errors import StoreUnavailable
from gatewright.store.rows import ApiKeyRow

ROLES = frozenset({"admin", "consumer"})
LLM_PROXY = "LlmProxy"
LARGEST_KEY_BODY_BYTES = 256 * 1024
LIMITS = Limits(max_bytes=LARGEST_KEY_BODY_BYTES, max_nodes=10_000)
YAML_TYPES = frozenset({"application/yaml", "text/yaml", "application/x-yaml"})
"""The original does not know the last one here and reads it as JSON."""


class _Expiry(msgspec.Struct, frozen=True):
    duration: int
    unit: str


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    name: str | None = None
    api_key: str | None = None
    expires_in: _Expiry | None = None
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    external_ref_id: str | None = None
    issuer: str | None = None


class ApiKeys:
    """Endpoints of the keys of one kind of parent, such as `/rest-apis`."""

    def __init__(self, deployments: Deployments, *, kind: str, collection: str) -> None:
        self._deployments = deployments
        self._kind = kind
        self._base = f"/{collection}/{{id}}/api-keys"

    def operations(self) -> Sequence[Operation]:
        """The table of this resource."""
        one = self._base + "/{apiKeyName}"
        return (
            Operation("POST", self._base, self.create, ROLES),
            Operation("GET", self._base, self.list, ROLES),
            Operation("PUT", one, self.update, ROLES),
            Operation("DELETE", one, self.revoke, ROLES),
            Operation("POST", one + "/regenerate", self.regenerate, ROLES),
        )

    async def create(self, call: Call) -> Response:
        """POST: 201; the plain key is in this answer and nowhere else."""
        try:
            created = await self._deployments.create_key(
                self._kind,
                call.path["id"],
                await _request(call),
                caller=call.caller,
                correlation_id=call.correlation_id,
            )
        except (_Unreadable, DeploymentError, StoreUnavailable) as error:
            return self._refused(error, call)
        local = created.plain_key is not None
        message = "API key generated successfully" if local else "API key registered successfully"
        return marked(answer(self._created(call, created, message), 201), created.change)

    async def list(self, call: Call) -> Response:
        """GET: active keys, newest first, values masked."""
        try:
            rows = await self._deployments.list_keys(self._kind, call.path["id"], caller=call.caller)
        except (DeploymentError, StoreUnavailable) as error:
            return self._refused(error, call)
        keys = [self._key(call, row, value=row.masked_key, listed=True) for row in rows]
        return answer({"status": "success", "totalCount": len(keys), "apiKeys": keys or None})

    async def update(self, call: Call) -> Response:
        """PUT: another value for an external key."""
        try:
            body = await _request(call)
            if body.plain_key is None:
                return failure(400, "apiKey is required")
            updated = await self._deployments.update_key(
                self._kind,
                call.path["id"],
                call.path["apiKeyName"],
                body,
                caller=call.caller,
                correlation_id=call.correlation_id,
            )
        except (_Unreadable, DeploymentError, StoreUnavailable) as error:
            return self._refused(error, call, by_name=True)
        key = self._key(call, updated.row, value=updated.row.masked_key)
        told = {"status": "success", "message": "API key updated successfully", "apiKey": key}
        return marked(answer(told), updated.change)

    async def regenerate(self, call: Call) -> Response:
        """POST …/regenerate: a new value; the old one ends at once."""
        try:
            created = await self._deployments.regenerate_key(
                self._kind,
                call.path["id"],
                call.path["apiKeyName"],
                await _request(call),
                caller=call.caller,
                correlation_id=call.correlation_id,
            )
        except (_Unreadable, DeploymentError, StoreUnavailable) as error:
            return self._refused(error, call, by_name=True)
        return marked(answer(self._created(call, created, "API key generated successfully")), created.change)

    async def revoke(self, call: Call) -> Response:
        """DELETE: idempotent."""
        try:
            revoked = await self._deployments.revoke_key(
                self._kind,
                call.path["id"],
                call.path["apiKeyName"],
                caller=call.caller,
                correlation_id=call.correlation_id,
            )
        except (DeploymentError, StoreUnavailable) as error:
            return self._refused(error, call)
        return marked(answer({"status": "success", "message": "API key revoked successfully"}), revoked.change)

    def _refused(self, error: Exception, call: Call, *, by_name: bool = False) -> Response:
        """Proxies have texts of their own for what is missing; `by_name`: the operation is about one existing key."""
        if self._kind == LLM_PROXY and isinstance(error, NotFound | KeyNotFound):
            what = f"LLM proxy or API key '{call.path['apiKeyName']}'" if by_name else f"LLM proxy '{call.path['id']}'"
            return failure(404, f"{what} not found")
        return _refusal(error)

    def _created(self, call: Call, created: KeyCreated, message: str) -> dict[str, Any]:
        plain = created.plain_key.get_secret_value() if created.plain_key else None
        return {
            "status": "success",
            "message": message,
            "apiKey": self._key(call, created.row, value=plain),
            "remainingApiKeyQuota": created.remaining,
        }

    def _key(self, call: Call, row: ApiKeyRow, *, value: str | None, listed: bool = False) -> dict[str, Any]:
        key: dict[str, Any] = {
            "apiId": call.path["id"],
            "name": row.name,
            "status": row.status,
            "source": row.source,
            "createdAt": timestamp(row.created_at),
            "createdBy": row.created_by,
            "expiresAt": timestamp(row.expires_at) if row.expires_at else None,
        }
        if value is not None:
            key["apiKey"] = value
        if listed and row.external_ref_id:
            key["externalRefId"] = row.external_ref_id
        return key


class _Unreadable(Exception):
    """The body is no key request."""


async def _request(call: Call) -> KeyRequest:
    raw = await call.body(LARGEST_KEY_BODY_BYTES)
    kind = call.content_type.partition(";")[0].strip().lower()
    try:
        plain = (parse_yaml if kind in YAML_TYPES else parse_json)(raw, limits=LIMITS)
        body = msgspec.convert(_folded(plain), _Body)
    except MalformedDocument as error:
        raise _Unreadable(error.message) from None
    except msgspec.ValidationError as error:
        raise _Unreadable(str(error)) from None
    return KeyRequest(
        name=_trimmed(body.name),
        plain_key=SecretStr(value) if (value := _trimmed(body.api_key)) else None,
        expires_at=body.expires_at,
        expires_in=ExpiresIn(body.expires_in.duration, body.expires_in.unit) if body.expires_in else None,
        external_ref_id=_trimmed(body.external_ref_id),
        issuer=_trimmed(body.issuer),
    )


_MEMBERS = {name.lower(): name for name in ("name", "apiKey", "expiresIn", "expiresAt", "externalRefId", "issuer")}


def _folded(plain: dict[str, Any]) -> dict[str, Any]:
    """The known members in their own spelling: the original's decoder compares names without case."""
    return {_MEMBERS[name.lower()]: value for name, value in plain.items() if name.lower() in _MEMBERS}


def _trimmed(value: str | None) -> str | None:
    return (value.strip() or None) if value else None


def _refusal(error: Exception) -> Response:
    if isinstance(error, _Unreadable):
        return failure(400, f"Invalid request body: {error}")
    if isinstance(error, NotFound | KeyNotFound):
        return failure(404, error.message)
    if isinstance(error, Conflict):
        return failure(409, error.message)
    if isinstance(error, KeyRefused):
        return _rule_broken(error)
    if isinstance(error, DeploymentError):
        return failure(400, error.message)
    return unavailable(error, "The API key could not be saved")


def _rule_broken(error: KeyRefused) -> Response:
    """The original answers 500 `internal server error` to mistakes of the caller; the status says what it is here."""
    if error.reason == "VALUE_TAKEN":
        return failure(409, error.message)
    if error.reason == "NOT_OWNER":
        return failure(403, error.message)
    return failure(400, error.message)
