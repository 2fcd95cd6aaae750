"""Transactions that write API keys: names, owners, limits, values, and the change row that goes with them.

Plain functions on a connection, without side effects. Sources: management API reference 13.4 to 13.8, control-plane
protocol reference 2.14.
"""

from datetime import UTC, datetime

import msgspec
from pydantic import SecretStr
from sqlalchemy import Connection

from gatewright.deployment import key_material
from gatewright.deployment.artifact_writes import Scope
from gatewright.deployment.ids import new_uuid
from gatewright.deployment.requests import Caller, KeyEvent, KeyRequest
from gatewright.deployment.results import (
    Change,
    Conflict,
    KeyApplied,
    KeyCreated,
    KeyNotFound,
    KeyRefused,
    KeyRevoked,
    KeyStale,
    KeyUpdated,
    NotFound,
)
from gatewright.store import api_keys, applications, artifacts, changes
from gatewright.store.rows import API_KEY, Action, ApiKeyRow, ArtifactRow

_NAME_ATTEMPTS = 6
_TAKEN = "configuration already exists: API key value already exists"


def create(
    connection: Connection, scope: Scope, parent: tuple[str, str], request: KeyRequest, *, caller: Caller, limit: int
) -> KeyCreated:
    """POST. Raises NotFound, KeyRefused, Conflict."""
    api = _parent(connection, scope, parent)
    name = (request.name or "").strip()
    if name:
        key_material.check_name(name)
    existing = api_keys.find(connection, scope.gateway_id, api.uuid, name) if name else None
    if existing is not None and existing.created_by != caller.user and not caller.admin:
        raise KeyRefused("NOT_OWNER", f"not authorized to update API key '{name}'")
    owner = existing.created_by if existing else caller.user
    count = api_keys.count_active(connection, scope.gateway_id, api.uuid, owner)
    if existing is None and count >= limit:
        raise KeyRefused("LIMIT", f"API key limit exceeded: user has {count} active keys, maximum allowed is {limit}")
    given = _given_value(request)
    plain = given or key_material.new_key()
    row = ApiKeyRow(
        uuid=existing.uuid if existing else new_uuid(scope.now),
        api_id=api.uuid,
        name=name or _free_name(connection, scope, api),
        key_hash=key_material.hash_of(plain),
        masked_key=key_material.mask_of(plain),
        source="external" if given else "local",
        issuer=_text(request.issuer) or (existing.issuer if existing else None),
        external_ref_id=_text(request.external_ref_id) or (existing.external_ref_id if existing else None),
        created_by=owner,
        created_at=existing.created_at if existing else scope.now,
        updated_at=scope.now,
        expires_at=key_material.expiry(request.expires_at, request.expires_in, scope.now),
    )
    _put(connection, scope, row, "save API key to")
    action: Action = "UPDATE" if existing else "CREATE"
    return KeyCreated(
        row=row,
        plain_key=None if given else SecretStr(plain),
        remaining=max(0, limit - count - (existing is None)),
        change=_record(connection, scope, row, action),
        action=action,
    )


def update(
    connection: Connection, scope: Scope, parent: tuple[str, str], name: str, request: KeyRequest, *, caller: Caller
) -> KeyUpdated:
    """PUT: value, expiry and reference are as the request says. Raises NotFound, KeyNotFound, KeyRefused, Conflict."""
    plain = _given_value(request)
    if plain is None:
        raise KeyRefused("VALUE_REQUIRED", "apiKey is required")
    asked = (request.name or "").strip()
    if asked and asked != name:
        raise KeyRefused(
            "NAME_MISMATCH",
            f"API key name mismatch: name in request body '{asked}' must match the key name in URL '{name}'",
        )
    api = _parent(connection, scope, parent)
    existing = api_keys.find(connection, scope.gateway_id, api.uuid, name)
    if existing is None:
        raise KeyNotFound(
            f"configuration not found: API key '{name}' not found for API '{api.handle}'"
            " and no api_key value provided to create one"
        )
    if existing.source == "local":
        raise KeyRefused(
            "LOCAL_KEY",
            "operation not allowed: updates are only allowed for externally generated API keys. For locally generated"
            " keys, please use the regenerate endpoint to create a new key",
        )
    if existing.created_by != caller.user:
        raise KeyRefused("NOT_OWNER", f"not authorized to update API key '{name}'")
    row = msgspec.structs.replace(
        existing,
        key_hash=key_material.hash_of(plain),
        masked_key=key_material.mask_of(plain),
        status="active",
        issuer=_text(request.issuer) or existing.issuer,
        external_ref_id=_text(request.external_ref_id),
        updated_at=scope.now,
        expires_at=key_material.expiry(request.expires_at, request.expires_in, scope.now),
    )
    _put(connection, scope, row, "update API key in")
    return KeyUpdated(row, _record(connection, scope, row, "UPDATE"))


def regenerate(
    connection: Connection,
    scope: Scope,
    parent: tuple[str, str],
    name: str,
    request: KeyRequest,
    *,
    caller: Caller,
    limit: int,
) -> KeyCreated:
    """A new generated value; without an expiry in the request the old one stays. Raises as `update`."""
    api = _parent(connection, scope, parent)
    existing = api_keys.find(connection, scope.gateway_id, api.uuid, name)
    if existing is None:
        raise KeyNotFound(f"configuration not found: API key '{name}' not found for API '{api.handle}'")
    if existing.created_by != caller.user:
        raise KeyRefused("NOT_OWNER", f"API key regeneration failed for API: '{api.handle}'")
    unset = request.expires_at is None and request.expires_in is None
    plain = key_material.new_key()
    row = msgspec.structs.replace(
        existing,
        key_hash=key_material.hash_of(plain),
        masked_key=key_material.mask_of(plain),
        status="active",
        updated_at=scope.now,
        expires_at=key_material.expiry(
            existing.expires_at if unset else request.expires_at, request.expires_in, scope.now
        ),
    )
    _put(connection, scope, row, "update API key in")
    count = api_keys.count_active(connection, scope.gateway_id, api.uuid, row.created_by)
    return KeyCreated(
        row=row,
        plain_key=SecretStr(plain),
        remaining=max(0, limit - count),
        change=_record(connection, scope, row, "UPDATE"),
        action="UPDATE",
    )


def revoke(connection: Connection, scope: Scope, parent: tuple[str, str], name: str, caller: Caller) -> KeyRevoked:
    """DELETE. Raises NotFound, KeyRefused."""
    api = _parent(connection, scope, parent)
    existing = api_keys.find(connection, scope.gateway_id, api.uuid, name)
    if existing is None:
        return KeyRevoked(None)
    if existing.created_by != caller.user and not caller.admin:
        raise KeyRefused("NOT_OWNER", f"API key revocation failed for API: '{api.handle}'")
    return _remove(connection, scope, existing)


def visible(connection: Connection, gateway_id: str, parent: tuple[str, str], caller: Caller) -> list[ApiKeyRow]:
    """Active keys that the caller may see, newest first. Raises NotFound."""
    kind, handle = parent
    api = artifacts.find_by_handle(connection, gateway_id, kind, handle)
    if api is None:
        raise _no_parent(handle)
    rows = api_keys.of_artifact(connection, gateway_id, api.uuid, created_by=None if caller.admin else caller.user)
    return [row for row in rows if row.status == "active"]


def apply(
    connection: Connection, scope: Scope, event: KeyEvent, *, is_update: bool, limit: int | None
) -> KeyApplied | KeyStale:
    """A key of the control plane. Raises KeyRefused for a rule that the event breaks."""
    key_hash = event.key_hash.strip().lower()
    if not event.cp_api_id or not key_material.is_hash(key_hash) or (is_update and not event.name):
        raise KeyRefused("MISSING_FIELD", "the event lacks the artifact's id, the key's name or its sha256")
    api = artifacts.resolve(connection, scope.gateway_id, event.cp_api_id)
    if api is None:
        raise KeyRefused("UNKNOWN_ARTIFACT", f"no artifact has the id {event.cp_api_id!r}")
    name = event.name.strip() or _free_name(connection, scope, api)
    key_material.check_name(name)
    existing = api_keys.find(connection, scope.gateway_id, api.uuid, name)
    if existing is not None:
        if is_update and existing.source != "external":
            raise KeyRefused("LOCAL_KEY", f"the key {name!r} was generated by this gateway")
        if _is_stale(event, existing, is_update=is_update):
            return KeyStale(existing)
    elif limit is not None and event.user_id:
        count = api_keys.count_active(connection, scope.gateway_id, api.uuid, event.user_id)
        if count >= limit:
            raise KeyRefused("LIMIT", f"user has {count} active keys, maximum allowed is {limit}")
    row = _event_row(scope, event, api, name, key_hash=key_hash, existing=existing)
    if api_keys.value_taken(connection, scope.gateway_id, row):
        raise KeyRefused("VALUE_TAKEN", "another key of this gateway has the same value")
    api_keys.put(connection, scope.gateway_id, row)
    return KeyApplied(row, _record(connection, scope, row, "UPDATE" if existing else "CREATE"))


def apply_revocation(connection: Connection, scope: Scope, cp_api_id: str, name: str) -> KeyRevoked:
    """`apikey.revoked`: an unknown key is fine; keys may stand under an id whose artifact is not there yet.

    Raises KeyRefused.
    """
    if not cp_api_id or not name:
        raise KeyRefused("MISSING_FIELD", "the event lacks the artifact's id or the key's name")
    api = artifacts.resolve(connection, scope.gateway_id, cp_api_id)
    existing = api_keys.find(connection, scope.gateway_id, api.uuid if api else cp_api_id, name)
    return KeyRevoked(None) if existing is None else _remove(connection, scope, existing)


def _is_stale(event: KeyEvent, existing: ApiKeyRow, *, is_update: bool) -> bool:
    """A creation must be newer than what is stored; an update only must not be older."""
    if event.updated_at is None:
        return False
    stamp = event.updated_at.astimezone(UTC)
    return stamp < existing.updated_at or (stamp == existing.updated_at and not is_update)


def _event_row(
    scope: Scope,
    event: KeyEvent,
    api: ArtifactRow,
    name: str,
    *,
    key_hash: str,
    existing: ApiKeyRow | None,
) -> ApiKeyRow:
    return ApiKeyRow(
        uuid=(existing.uuid if existing else None) or event.uuid or new_uuid(scope.now),
        api_id=api.uuid,
        name=name,
        key_hash=key_hash,
        masked_key=event.masked_key or "********",
        source="external",
        origin="control_plane",
        issuer=_text(event.issuer) or (existing.issuer if existing else None),
        external_ref_id=_text(event.external_ref_id) or (existing.external_ref_id if existing else None),
        created_by=(existing.created_by if existing else None) or event.user_id or "system",
        created_at=existing.created_at if existing else _utc(event.created_at) or scope.now,
        updated_at=_utc(event.updated_at) or scope.now,
        expires_at=key_material.expiry(event.expires_at, event.expires_in, scope.now),
    )


def _parent(connection: Connection, scope: Scope, parent: tuple[str, str]) -> ArtifactRow:
    kind, handle = parent
    api = artifacts.find_by_handle(connection, scope.gateway_id, kind, handle)
    if api is None:
        raise _no_parent(handle)
    return api


def _no_parent(handle: str) -> NotFound:
    return NotFound(f"configuration not found: API configuration handle '{handle}' not found")


def _free_name(connection: Connection, scope: Scope, api: ArtifactRow) -> str:
    for _ in range(_NAME_ATTEMPTS):
        name = key_material.suggest_name(api.handle)
        if api_keys.find(connection, scope.gateway_id, api.uuid, name) is None:
            return name
    raise KeyRefused("NAME", "failed to generate API key: no free name was found")


def _put(connection: Connection, scope: Scope, row: ApiKeyRow, doing: str) -> None:
    if api_keys.value_taken(connection, scope.gateway_id, row):
        raise Conflict(f"failed to {doing} database: {_TAKEN}")
    api_keys.put(connection, scope.gateway_id, row)


def _remove(connection: Connection, scope: Scope, row: ApiKeyRow) -> KeyRevoked:
    api_keys.remove(connection, scope.gateway_id, row.api_id, row.name)
    applications.forget_key(connection, scope.gateway_id, row.uuid)
    return KeyRevoked(_record(connection, scope, row, "DELETE"))


def _record(connection: Connection, scope: Scope, row: ApiKeyRow, action: Action) -> Change:
    return changes.append(
        connection,
        scope.gateway_id,
        kind=API_KEY,
        entity_id=row.uuid,
        artifact_id=row.api_id,
        action=action,
        correlation_id=scope.correlation_id,
        at=scope.now,
    )


def _given_value(request: KeyRequest) -> str | None:
    if request.plain_key is None:
        return None
    return request.plain_key.get_secret_value().strip() or None


def _text(value: str | None) -> str | None:
    return (value or "").strip() or None


def _utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone(UTC)
