"""Applications and the API keys that belong to them. Gateways with those keys know the mapping. No network."""

import re
import uuid
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from gatewright.hub.problems import ApiError, invalid, not_found
from gatewright.hub.store import Unit
from gatewright.hub.tables import api_keys, application_keys, applications, statuses, subscriptions
from gatewright.hub.views import ApplicationView
from gatewright.wire import events
from gatewright.wire.apikeys import ACTIVE
from gatewright.wire.times import Timestamp

MAX_KEYS: Final = 5000
"""Per application; an event carries all of them."""
_HANDLE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MAX_TEXT: Final = 200


class ApplicationRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A whole application; an update replaces everything but the handle. `keys` are UUIDs of API keys."""

    id: str = ""
    name: str = ""
    type: str = "web"
    keys: tuple[str, ...] = ()


def create(unit: Unit, wanted: ApplicationRequest) -> ApplicationView:
    """Add an application and tell the gateways that have its keys. ApiError 400, 409."""
    handle = wanted.id or re.sub(r"[^a-z0-9]+", "-", wanted.name.lower()).strip("-")
    _check(unit.connection, wanted, handle)
    if unit.connection.execute(select(applications.c.id).where(applications.c.handle == handle)).first() is not None:
        raise ApiError(409, "APPLICATION_EXISTS", f"There is an application {handle!r} already.")
    application_id, now = str(uuid.uuid4()), unit.now.unix_ms
    unit.connection.execute(
        insert(applications).values(
            id=application_id, handle=handle, name=wanted.name, type=wanted.type, created_at=now, updated_at=now
        )
    )
    _map(unit.connection, application_id, wanted.keys)
    return _announced(unit, application_id, set())


def change(unit: Unit, ref: str, wanted: ApplicationRequest) -> ApplicationView:
    """Replace an application with its keys and tell the gateways that have or had them. ApiError 400, 404."""
    known = find(unit.connection, ref)
    _check(unit.connection, wanted, known.handle)
    before = _gateways_of(unit.connection, known.id)
    unit.connection.execute(
        update(applications)
        .where(applications.c.id == known.id)
        .values(name=wanted.name, type=wanted.type, updated_at=unit.now.unix_ms)
    )
    _map(unit.connection, known.id, wanted.keys)
    return _announced(unit, known.id, before)


def remove(unit: Unit, ref: str) -> None:
    """Delete an application; gateways learn that it has no keys any more. ApiError 404, 409."""
    known = find(unit.connection, ref)
    used = select(subscriptions.c.id).where(subscriptions.c.application_id == known.id).limit(1)
    if unit.connection.execute(used).first() is not None:
        raise ApiError(409, "APPLICATION_IN_USE", f"Subscriptions name {known.handle!r}. Change or delete them first.")
    gateway_ids = _gateways_of(unit.connection, known.id)
    unit.connection.execute(delete(applications).where(applications.c.id == known.id))
    for gateway_id in sorted(gateway_ids):
        _announce(unit, known, (), gateway_id)


def announce_all(unit: Unit, artifact_id: str, gateway_id: str) -> None:
    """Tell one gateway of every application with a key of an artifact: no list will ever tell it."""
    query = (
        select(applications)
        .join(application_keys, application_keys.c.application_id == applications.c.id)
        .join(api_keys, api_keys.c.uuid == application_keys.c.key_uuid)
        .where(api_keys.c.artifact_id == artifact_id)
        .distinct()
    )
    for row in unit.connection.execute(query).all():
        _announce(unit, row, _keys_of(unit.connection, row.id), gateway_id)


def find(connection: Connection, ref: str) -> Row[Any]:
    """An application by handle or id. ApiError 404."""
    query = select(applications).where(or_(applications.c.handle == ref, applications.c.id == ref)).limit(1)
    row = connection.execute(query).first()
    if row is None:
        raise not_found("application", ref)
    return row


def views(connection: Connection) -> list[ApplicationView]:
    """All applications by handle."""
    rows = connection.execute(select(applications).order_by(applications.c.handle)).all()
    return [view(connection, row) for row in rows]


def view(connection: Connection, row: Row[Any]) -> ApplicationView:
    """An application for people."""
    return ApplicationView(
        id=row.handle,
        uuid=row.id,
        name=row.name,
        type=row.type,
        keys=_keys_of(connection, row.id),
        created_at=Timestamp.from_ms(row.created_at).text(),
        updated_at=Timestamp.from_ms(row.updated_at).text(),
    )


def _check(connection: Connection, wanted: ApplicationRequest, handle: str) -> None:
    problems = []
    if _HANDLE.fullmatch(handle) is None:
        problems.append("id: must have 1 to 63 characters of a-z, 0-9 and - and neither begin nor end with -")
    problems.extend(
        f"{member}: must have 1 to {_MAX_TEXT} characters"
        for member, value in (("name", wanted.name), ("type", wanted.type))
        if not value.strip() or len(value) > _MAX_TEXT
    )
    if len(wanted.keys) > MAX_KEYS:
        problems.append(f"keys: may hold {MAX_KEYS} at most")
    else:
        known = select(api_keys.c.uuid).where(api_keys.c.status == ACTIVE, api_keys.c.uuid.in_(wanted.keys))
        found = set(connection.execute(known).scalars())
        problems.extend(f"keys: there is no active API key {key!r}" for key in wanted.keys if key not in found)
    if problems:
        raise invalid(*problems[:100])


def _map(connection: Connection, application_id: str, keys: tuple[str, ...]) -> None:
    connection.execute(delete(application_keys).where(application_keys.c.application_id == application_id))
    rows = [{"application_id": application_id, "key_uuid": key} for key in dict.fromkeys(keys)]
    if rows:
        connection.execute(insert(application_keys), rows)


def _announced(unit: Unit, application_id: str, further: set[str]) -> ApplicationView:
    row = find(unit.connection, application_id)
    keys = _keys_of(unit.connection, application_id)
    for gateway_id in sorted(_gateways_of(unit.connection, application_id) | further):
        _announce(unit, row, keys, gateway_id)
    return view(unit.connection, row)


def _announce(unit: Unit, row: Row[Any], keys: tuple[str, ...], gateway_id: str) -> None:
    # A dictionary: the gateway reads an absent list as an empty one, others might not.
    payload = {
        "applicationId": row.handle,
        "applicationUuid": row.id,
        "applicationName": row.name,
        "applicationType": row.type,
        "mappings": [events.KeyMapping(api_key_uuid=key) for key in keys],
    }
    unit.emit(gateway_id, events.APPLICATION_UPDATED, payload)


def _keys_of(connection: Connection, application_id: str) -> tuple[str, ...]:
    query = (
        select(application_keys.c.key_uuid)
        .join(api_keys, api_keys.c.uuid == application_keys.c.key_uuid)
        .where(application_keys.c.application_id == application_id, api_keys.c.status == ACTIVE)
        .order_by(application_keys.c.key_uuid)
    )
    return tuple(connection.execute(query).scalars())


def _gateways_of(connection: Connection, application_id: str) -> set[str]:
    query = (
        select(statuses.c.gateway_id)
        .join(api_keys, api_keys.c.artifact_id == statuses.c.artifact_id)
        .join(application_keys, application_keys.c.key_uuid == api_keys.c.uuid)
        .where(application_keys.c.application_id == application_id)
        .distinct()
    )
    return set(connection.execute(query).scalars())
