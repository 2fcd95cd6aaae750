"""Secrets that documents refer to by placeholder. Kept sealed, told only to gateways that run such a document.

A deprecated secret stays in the lists of gateways and its value is told to none of them; those that have it keep it.
"""

import re
import uuid
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, Select, delete, insert, select, update

from gatewright.hub.artifacts import ORIGIN_HUB
from gatewright.hub.problems import ApiError, invalid, not_found
from gatewright.hub.store import Unit
from gatewright.hub.tables import artifacts, platform_secrets, secret_references, statuses
from gatewright.hub.vault import Unsealable, Vault
from gatewright.hub.views import SecretView
from gatewright.observability.logging import get_logger
from gatewright.wire.deployments import STATE_DEPLOYED
from gatewright.wire.platform_secrets import ACTIVE, DEPRECATED, SecretList, SecretRow
from gatewright.wire.times import Timestamp

MAX_VALUE_BYTES: Final = 10_000
STATUSES: Final = (ACTIVE, DEPRECATED)
_PROVIDER: Final = "gatewright-hub"
_HANDLE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MAX_TEXT: Final = 200

_log = get_logger(__name__)


class SecretRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A secret with its value; an update replaces everything but the handle. `id` is the handle."""

    value: str
    id: str = ""
    name: str = ""
    type: str = "generic"

    def __repr__(self) -> str:
        return f"SecretRequest(id={self.id!r})"


class SecretChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is to change. None keeps."""

    value: str | None = None
    name: str | None = None
    type: str | None = None
    status: str | None = None

    def __repr__(self) -> str:
        return "SecretChange(…)"


def create(unit: Unit, wanted: SecretRequest) -> SecretView:
    """Add a secret. ApiError 400, 409."""
    _check(wanted, wanted.id)
    query = select(platform_secrets.c.id).where(platform_secrets.c.handle == wanted.id)
    if unit.connection.execute(query).first() is not None:
        raise ApiError(409, "SECRET_EXISTS", f"There is a secret {wanted.id!r} already.")
    now = unit.now.unix_ms
    unit.connection.execute(
        insert(platform_secrets).values(
            id=str(uuid.uuid4()),
            handle=wanted.id,
            created_at=now,
            updated_at=now,
            **_values(unit, wanted, wanted.id),
        )
    )
    return view(find(unit.connection, wanted.id))


def change(unit: Unit, handle: str, wanted: SecretRequest) -> SecretView:
    """Replace a secret; gateways fetch the new value when they next compare. ApiError 400, 404."""
    known = find(unit.connection, handle)
    _check(wanted, handle)
    return _write(unit, known, _values(unit, wanted, handle))


def modify(unit: Unit, handle: str, wanted: SecretChange) -> SecretView:
    """Change members of a secret, such as its status. ApiError 400, 404."""
    known = find(unit.connection, handle)
    if wanted.status is not None and wanted.status not in STATUSES:
        raise invalid(f"status: must be one of {', '.join(STATUSES)}")
    name, kind = wanted.name, wanted.type
    values: dict[str, Any] = {
        "name": known.name if name is None else name or handle,
        "type": known.type if kind is None else kind,
    }
    _check_texts(values["name"], values["type"])
    if wanted.value is not None:
        replaced = SecretRequest(value=wanted.value, **values)
        _check(replaced, handle)
        values = _values(unit, replaced, handle)
    return _write(unit, known, values | {"status": wanted.status or known.status})


def remove(unit: Unit, handle: str) -> None:
    """Delete a secret that no deployed document refers to. ApiError 404, 409."""
    known = find(unit.connection, handle)
    query = _references().where(secret_references.c.handle == handle).limit(1)
    if unit.connection.execute(query).first() is not None:
        raise ApiError(409, "SECRET_IN_USE", f"A deployed document refers to {handle!r}. Undeploy or change it first.")
    unit.connection.execute(delete(platform_secrets).where(platform_secrets.c.id == known.id))


def find(connection: Connection, handle: str) -> Row[Any]:
    """A secret by handle. ApiError 404."""
    row = connection.execute(select(platform_secrets).where(platform_secrets.c.handle == handle)).first()
    if row is None:
        raise not_found("secret", handle)
    return row


def views(connection: Connection) -> list[SecretView]:
    """All secrets by handle, without values."""
    return [view(row) for row in connection.execute(select(platform_secrets).order_by(platform_secrets.c.handle))]


def view(row: Row[Any]) -> SecretView:
    """A secret for people: never its value."""
    return SecretView(
        id=row.handle,
        uuid=row.id,
        name=row.name,
        type=row.type,
        status=row.status,
        created_at=Timestamp.from_ms(row.created_at).text(),
        updated_at=Timestamp.from_ms(row.updated_at).text(),
    )


def wire_list(
    connection: Connection, vault: Vault, gateway_id: str, *, values: bool, after: Timestamp | None
) -> SecretList:
    """The secrets that documents deployed on a gateway refer to, changed after a time if one is given."""
    query = _of_gateway(gateway_id)
    if after is not None:
        query = query.where(platform_secrets.c.updated_at > after.unix_ms)
    rows = tuple(
        SecretRow(
            uuid=row.id,
            handle=row.handle,
            name=row.name,
            type=row.type,
            provider=_PROVIDER,
            status=row.status,
            hash=row.digest,
            created_at=Timestamp.from_ms(row.created_at).text(),
            updated_at=Timestamp.from_ms(row.updated_at).text(),
            value=_value(vault, row) if values else None,
        )
        for row in connection.execute(query)
    )
    return SecretList(list=rows, count=len(rows))


def wire_value(connection: Connection, vault: Vault, gateway_id: str, handle: str) -> str:
    """The plain value. ApiError 404 when no document deployed on the gateway refers to it, 500 for a deprecated one."""
    row = connection.execute(_of_gateway(gateway_id).where(platform_secrets.c.handle == handle)).first()
    if row is None:
        raise ApiError(404, "NOT_FOUND", "Secret not found")
    value = _value(vault, row)
    if value is None:
        raise ApiError(500, "SECRET_UNREADABLE", "Failed to decrypt secret")
    return value


def _value(vault: Vault, row: Row[Any]) -> str | None:
    """None where there is nothing to tell: one secret that cannot be read must not cost a gateway all others."""
    if row.status != ACTIVE:
        return None
    try:
        return vault.unseal(row.sealed, _purpose(row.handle))
    except Unsealable:
        _log.error("a secret cannot be decrypted; give it its value anew", secret=row.handle)
        return None


def _write(unit: Unit, known: Row[Any], values: dict[str, Any]) -> SecretView:
    changed_at = max(unit.now.unix_ms, known.updated_at + 1)
    change = update(platform_secrets).where(platform_secrets.c.id == known.id)
    unit.connection.execute(change.values(updated_at=changed_at, **values))
    return view(find(unit.connection, known.handle))


def _references() -> Select[Any]:
    """Handles in what is deployed now. A gateway's own documents do not count: their secrets are the gateway's."""
    return (
        select(secret_references.c.handle)
        .join(statuses, statuses.c.deployment_id == secret_references.c.deployment_id)
        .join(artifacts, artifacts.c.id == statuses.c.artifact_id)
        .where(statuses.c.desired == STATE_DEPLOYED, artifacts.c.origin == ORIGIN_HUB)
    )


def _of_gateway(gateway_id: str) -> Select[Any]:
    wanted = _references().where(statuses.c.gateway_id == gateway_id)
    return select(platform_secrets).where(platform_secrets.c.handle.in_(wanted)).order_by(platform_secrets.c.handle)


def _values(unit: Unit, wanted: SecretRequest, handle: str) -> dict[str, Any]:
    return {
        "name": wanted.name or handle,
        "type": wanted.type,
        "sealed": unit.vault.seal(wanted.value, _purpose(handle)),
        "digest": unit.vault.digest(wanted.value, handle),
    }


def _purpose(handle: str) -> str:
    return f"secret {handle}"


def _check(wanted: SecretRequest, handle: str) -> None:
    problems = []
    if _HANDLE.fullmatch(handle) is None:
        problems.append("id: must have 1 to 63 characters of a-z, 0-9 and - and neither begin nor end with -")
    if not 0 < len(wanted.value.encode()) <= MAX_VALUE_BYTES:
        problems.append(f"value: must have 1 to {MAX_VALUE_BYTES} bytes")
    if problems:
        raise invalid(*problems)
    _check_texts(wanted.name, wanted.type)


def _check_texts(name: str, kind: str) -> None:
    if len(name) > _MAX_TEXT or not 0 < len(kind) <= _MAX_TEXT:
        raise invalid(f"name, type: may have {_MAX_TEXT} characters at most, and a type at least one")
