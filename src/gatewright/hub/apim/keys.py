"""API keys of an API: told once in plain, kept and sent as hashes only, to every gateway. Transactions, no network."""

import re
import secrets
import uuid
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from gatewright.hub.apim import publishing
from gatewright.hub.apim.problems import Refusal
from gatewright.hub.apim.tables import api_keys, gateways
from gatewright.hub.store import Unit
from gatewright.wire.apikeys import ACTIVE, REVOKED
from gatewright.wire.codec import encode
from gatewright.wire.events import API_KEY_CREATED, API_KEY_REVOKED, API_KEY_UPDATED
from gatewright.wire.identifiers import token_hash
from gatewright.wire.times import Timestamp

MAX_KEYS: Final = 10_000
"""Of one API."""
MAX_SECONDS: Final = 100 * 366 * 24 * 3600

_NAME = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")


def create(unit: Unit, api_id: str, name: str, seconds: int, user: str) -> str:
    """A key that lives for so many seconds, -1 for ever; answers it in plain. Raises Refusal."""
    publishing.find(unit.connection, api_id)
    if not 3 <= len(name) <= 63 or _NAME.fullmatch(name) is None:
        raise Refusal(400, "keyName must have 3 to 63 characters of a-z and 0-9, parts joined by - or _.")
    if seconds != -1 and not 1 <= seconds <= MAX_SECONDS:
        raise Refusal(400, f"validityPeriod must be -1 or 1 to {MAX_SECONDS} seconds.")
    mine = (api_keys.c.api_id == api_id, api_keys.c.status == ACTIVE)
    if unit.connection.execute(select(api_keys.c.uuid).where(*mine, api_keys.c.name == name)).first() is not None:
        raise Refusal(409, f"The API has a key {name} already.")
    if unit.connection.execute(select(func.count()).where(*mine)).scalar_one() >= MAX_KEYS:
        raise Refusal(400, f"The API has {MAX_KEYS} keys, the most there may be.")
    unit.connection.execute(delete(api_keys).where(api_keys.c.api_id == api_id, api_keys.c.name == name))
    plain, now = _plain(), unit.now.unix_ms
    unit.connection.execute(
        insert(api_keys).values(
            uuid=str(uuid.uuid4()),
            api_id=api_id,
            name=name,
            hash=token_hash(plain),
            mask=_mask(plain),
            status=ACTIVE,
            created_by=user,
            expires_at=None if seconds == -1 else now + seconds * 1000,
            created_at=now,
            updated_at=now,
        )
    )
    row = _find(unit.connection, api_id, name)
    _tell_all(unit, API_KEY_CREATED, {"apiId": api_id, "uuid": row.uuid, "name": name, **_value(row)}, user)
    return plain


def regenerate(unit: Unit, api_id: str, name: str, user: str) -> str:
    """A new value for a key; answers it in plain. Raises Refusal 404."""
    row, plain = _find(unit.connection, api_id, name), _plain()
    unit.connection.execute(
        update(api_keys)
        .where(api_keys.c.uuid == row.uuid)
        .values(hash=token_hash(plain), mask=_mask(plain), updated_at=unit.now.unix_ms)
    )
    changed = _find(unit.connection, api_id, name)
    _tell_all(unit, API_KEY_UPDATED, {"apiId": api_id, "keyName": name, **_value(changed)}, user)
    return plain


def revoke(unit: Unit, api_id: str, name: str, user: str) -> None:
    """End a key. Raises Refusal 404."""
    row = _find(unit.connection, api_id, name)
    unit.connection.execute(
        update(api_keys).where(api_keys.c.uuid == row.uuid).values(status=REVOKED, updated_at=unit.now.unix_ms)
    )
    _tell_all(unit, API_KEY_REVOKED, {"apiId": api_id, "keyName": name}, user)


def views(connection: Connection, api_id: str) -> list[dict[str, object]]:
    """The active keys of an API by name, masked. Raises Refusal 404."""
    publishing.find(connection, api_id)
    rows = connection.execute(
        select(api_keys).where(api_keys.c.api_id == api_id, api_keys.c.status == ACTIVE).order_by(api_keys.c.name)
    )
    return [
        {
            "keyUUID": row.uuid,
            "keyName": row.name,
            "maskedApiKey": row.mask,
            "issuedOn": Timestamp.from_ms(row.created_at).text(),
            "expiresAt": None if row.expires_at is None else Timestamp.from_ms(row.expires_at).text(),
            "createdBy": row.created_by,
        }
        for row in rows
    ]


def _tell_all(unit: Unit, kind: str, payload: dict[str, object], user: str) -> None:
    """Every gateway, whether or not it has the API: that is how API Manager does it."""
    for gateway_id in list(unit.connection.execute(select(gateways.c.id).order_by(gateways.c.id)).scalars()):
        unit.emit(gateway_id, kind, payload, user_id=user)


def _value(row: Row[Any]) -> dict[str, object]:
    value: dict[str, object] = {
        "apiKeyHashes": encode({"sha256": row.hash}).decode(),
        "maskedApiKey": row.mask,
    }
    if row.expires_at is not None:
        value["expiresAt"] = Timestamp.from_ms(row.expires_at).text()
    return value


def _find(connection: Connection, api_id: str, name: str) -> Row[Any]:
    row = connection.execute(
        select(api_keys).where(api_keys.c.api_id == api_id, api_keys.c.name == name, api_keys.c.status == ACTIVE)
    ).first()
    if row is None:
        raise Refusal(404, f"The API {api_id} has no key {name}.")
    return row


def _plain() -> str:
    return secrets.token_urlsafe(36)


def _mask(plain: str) -> str:
    return f"****{plain[-4:]}"
