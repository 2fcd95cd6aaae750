"""API keys of artifacts: issued once in plain, stored and sent as hashes only. Transactions, no network."""

import re
import secrets
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, insert, select, update

from gatewright.hub import artifacts, gateways
from gatewright.hub.problems import ApiError, invalid
from gatewright.hub.store import Unit
from gatewright.hub.tables import api_keys, statuses
from gatewright.hub.tables import artifacts as artifact_table
from gatewright.hub.views import ApiKeyView, IssuedApiKey
from gatewright.wire import events
from gatewright.wire.apikeys import ACTIVE, HASH_ALGORITHM, REVOKED, SOURCE_EXTERNAL, ApiKeyRow
from gatewright.wire.codec import encode
from gatewright.wire.identifiers import api_key_etag, new_uuid7, token_hash
from gatewright.wire.kinds import ArtifactKind
from gatewright.wire.times import Timestamp

KEY_PREFIX: Final = "apip_"
MAX_ACTIVE_KEYS: Final = 10_000
"""Per artifact; each deployment announces all of them."""
MAX_TEXT: Final = 200

_NAME = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
_ACTIVE_OF = select(api_keys).where(api_keys.c.artifact_id == bindparam("artifact"), api_keys.c.status == ACTIVE)


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Body of a request for a key. `expires_at` is RFC 3339; a name is made up when there is none."""

    name: str = ""
    expires_at: str = ""
    issuer: str = ""
    created_by: str = ""
    gateways: tuple[str, ...] = ()
    """Handles of the only gateways that may know the key; empty: all that have the artifact."""


def create(unit: Unit, ref: str, wanted: KeyRequest) -> IssuedApiKey:
    """Make a key and announce it to the artifact's gateways. ApiError 400, 404, 409."""
    artifact = artifacts.find(unit.connection, ref)
    name = wanted.name or f"key-{secrets.token_hex(4)}"
    expires_at = _checked(unit, wanted, name)
    _refuse_taken(unit.connection, artifact.id, name)
    plain = KEY_PREFIX + secrets.token_hex(32)
    key_uuid = new_uuid7(unit.now.unix_ms, secrets.token_bytes(10))
    values = {
        "uuid": key_uuid,
        "artifact_id": artifact.id,
        "name": name,
        "hash": token_hash(plain),
        "mask": f"{KEY_PREFIX}****{plain[-4:]}",
        "status": ACTIVE,
        "issuer": wanted.issuer or None,
        "targets": " ".join(gateways.find(unit.connection, handle).id for handle in dict.fromkeys(wanted.gateways)),
        # The original allows ten keys for each user and artifact and drops the rest in silence, so that a hub which
        # called them all the work of one user would lose the eleventh.
        "created_by": wanted.created_by or f"hub/{name}",
        "expires_at": expires_at,
        "created_at": unit.now.unix_ms,
        "updated_at": unit.now.unix_ms,
    }
    # A revoked key of the same name makes room for its successor.
    unit.connection.execute(
        api_keys.delete().where(api_keys.c.artifact_id == artifact.id, api_keys.c.name == name),
    )
    unit.connection.execute(insert(api_keys).values(**values))
    row = _find(unit.connection, artifact.id, name)
    for gateway_id in _gateways_of(unit.connection, row):
        _announce(unit, row, gateway_id)
    return IssuedApiKey(key=_view(row, artifact.handle), api_key=plain)


def regenerate(unit: Unit, ref: str, name: str, wanted: KeyRequest) -> IssuedApiKey:
    """Give an active key another value, and another end if `wanted` names one. ApiError 400, 404, 409."""
    artifact = artifacts.find(unit.connection, ref)
    row = _find(unit.connection, artifact.id, name)
    if row.status != ACTIVE:
        raise ApiError(409, "API_KEY_REVOKED", f"The key {name!r} has been revoked. Make a new one of the same name.")
    expires_at = _checked(unit, wanted, name)
    plain = KEY_PREFIX + secrets.token_hex(32)
    changed = {
        "hash": token_hash(plain),
        "mask": f"{KEY_PREFIX}****{plain[-4:]}",
        "expires_at": row.expires_at if expires_at is None else expires_at,
        # Gateways take a key only when it is newer than what they have.
        "updated_at": max(unit.now.unix_ms, row.updated_at + 1),
    }
    unit.connection.execute(update(api_keys).where(api_keys.c.uuid == row.uuid).values(**changed))
    row = _find(unit.connection, artifact.id, name)
    payload = events.ApiKeyUpdated(
        api_id=artifact.id,
        key_name=name,
        api_key_hashes=encode({HASH_ALGORITHM: row.hash}).decode(),
        masked_api_key=row.mask,
        expires_at=None if row.expires_at is None else Timestamp.from_ms(row.expires_at).text(),
        issuer=row.issuer,
        updated_at=Timestamp.from_ms(row.updated_at).text(),
    )
    for gateway_id in _gateways_of(unit.connection, row):
        unit.emit(gateway_id, events.API_KEY_UPDATED, payload, user_id=row.created_by)
    return IssuedApiKey(key=_view(row, artifact.handle), api_key=plain)


def revoke(unit: Unit, ref: str, name: str) -> None:
    """End a key and tell the artifact's gateways; once more does no harm. ApiError 404."""
    artifact = artifacts.find(unit.connection, ref)
    row = _find(unit.connection, artifact.id, name)
    if row.status == ACTIVE:
        unit.connection.execute(
            update(api_keys).where(api_keys.c.uuid == row.uuid).values(status=REVOKED, updated_at=unit.now.unix_ms)
        )
    payload = events.ApiKeyRevoked(api_id=artifact.id, key_name=name)
    for gateway_id in _gateways_of(unit.connection, row):
        unit.emit(gateway_id, events.API_KEY_REVOKED, payload, user_id=row.created_by)


def views(connection: Connection, ref: str) -> list[ApiKeyView]:
    """The keys of an artifact by name, revoked ones included."""
    artifact = artifacts.find(connection, ref)
    rows = connection.execute(select(api_keys).where(api_keys.c.artifact_id == artifact.id).order_by(api_keys.c.name))
    return [_view(row, artifact.handle) for row in rows]


def announce_all(unit: Unit, artifact_id: str, gateway_id: str) -> None:
    """Send every active key of an artifact that has not expired to one gateway."""
    rows = unit.connection.execute(_ACTIVE_OF, {"artifact": artifact_id}).all()
    for row in rows:
        if _is_for(row, gateway_id) and (row.expires_at is None or row.expires_at > unit.now.unix_ms):
            _announce(unit, row, gateway_id)


def wire_rows(connection: Connection, gateway_id: str, kind: ArtifactKind, issuer: str) -> list[ApiKeyRow]:
    """The key list of one kind: keys of all statuses of artifacts that the gateway has a status row for."""
    query = (
        select(api_keys)
        .join(artifact_table, artifact_table.c.id == api_keys.c.artifact_id)
        .join(statuses, statuses.c.artifact_id == api_keys.c.artifact_id)
        .where(artifact_table.c.kind == kind.value, statuses.c.gateway_id == gateway_id)
        .order_by(api_keys.c.created_at, api_keys.c.uuid)
    )
    if issuer:
        query = query.where(api_keys.c.issuer == issuer)
    return [_wire_row(row) for row in connection.execute(query) if _is_for(row, gateway_id)]


def _wire_row(row: Row[Any]) -> ApiKeyRow:
    updated_at = Timestamp.from_ms(row.updated_at)
    return ApiKeyRow(
        etag=api_key_etag(row.artifact_id, row.name, updated_at),
        uuid=row.uuid,
        name=row.name,
        masked_api_key=row.mask,
        api_key_hashes={HASH_ALGORITHM: row.hash},
        artifact_uuid=row.artifact_id,
        status=row.status,
        created_at=Timestamp.from_ms(row.created_at),
        created_by=row.created_by,
        updated_at=updated_at,
        expires_at=None if row.expires_at is None else Timestamp.from_ms(row.expires_at),
        source=SOURCE_EXTERNAL,
        issuer=row.issuer,
    )


def _announce(unit: Unit, row: Row[Any], gateway_id: str) -> None:
    payload = events.ApiKeyCreated(
        uuid=row.uuid,
        api_id=row.artifact_id,
        name=row.name,
        api_key_hashes=encode({HASH_ALGORITHM: row.hash}).decode(),
        masked_api_key=row.mask,
        expires_at=None if row.expires_at is None else Timestamp.from_ms(row.expires_at).text(),
        issuer=row.issuer,
        created_at=Timestamp.from_ms(row.created_at).text(),
        updated_at=Timestamp.from_ms(row.updated_at).text(),
    )
    unit.emit(gateway_id, events.API_KEY_CREATED, payload, user_id=row.created_by)


def _checked(unit: Unit, wanted: KeyRequest, name: str) -> int | None:
    problems = []
    expires_at: int | None = None
    if not 3 <= len(name) <= 63 or _NAME.fullmatch(name) is None:
        problems.append("name: must have 3 to 63 characters of a-z and 0-9, parts joined by - or _")
    problems.extend(
        f"{member}: may have {MAX_TEXT} characters at most"
        for member, value in (("issuer", wanted.issuer), ("createdBy", wanted.created_by))
        if len(value) > MAX_TEXT
    )
    if wanted.expires_at:
        try:
            expires_at = Timestamp.parse(wanted.expires_at).unix_ms
        except ValueError:
            problems.append("expiresAt: must be an RFC 3339 time such as 2027-01-01T00:00:00Z")
        else:
            if expires_at <= unit.now.unix_ms:
                problems.append("expiresAt: is in the past")
    if problems:
        raise invalid(*problems)
    return expires_at


def _refuse_taken(connection: Connection, artifact_id: str, name: str) -> None:
    active = (
        connection.execute(
            select(api_keys.c.name).where(api_keys.c.artifact_id == artifact_id, api_keys.c.status == ACTIVE)
        )
        .scalars()
        .all()
    )
    if name in active:
        raise ApiError(409, "API_KEY_EXISTS", f"There is an active key {name!r} already. Revoke it first.")
    if len(active) >= MAX_ACTIVE_KEYS:
        raise ApiError(409, "API_KEY_LIMIT_REACHED", f"There are {len(active)} active keys, the most there may be.")


def _find(connection: Connection, artifact_id: str, name: str) -> Row[Any]:
    row = connection.execute(
        select(api_keys).where(api_keys.c.artifact_id == artifact_id, api_keys.c.name == name)
    ).first()
    if row is None:
        raise ApiError(404, "API_KEY_NOT_FOUND", f"There is no key {name!r}.")
    return row


def _gateways_of(connection: Connection, key: Row[Any]) -> list[str]:
    query = select(statuses.c.gateway_id).where(statuses.c.artifact_id == key.artifact_id)
    found = connection.execute(query.order_by(statuses.c.gateway_id)).scalars()
    return [gateway_id for gateway_id in found if _is_for(key, gateway_id)]


def _is_for(key: Row[Any], gateway_id: str) -> bool:
    """A key that names gateways is for nobody else, also when those are gone."""
    return not key.targets or gateway_id in key.targets.split()


def _view(row: Row[Any], handle: str) -> ApiKeyView:
    return ApiKeyView(
        uuid=row.uuid,
        name=row.name,
        artifact=handle,
        masked_api_key=row.mask,
        status=row.status,
        created_by=row.created_by,
        created_at=Timestamp.from_ms(row.created_at).text(),
        updated_at=Timestamp.from_ms(row.updated_at).text(),
        expires_at="" if row.expires_at is None else Timestamp.from_ms(row.expires_at).text(),
        issuer=row.issuer or "",
    )
