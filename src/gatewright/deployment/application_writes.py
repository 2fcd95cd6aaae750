"""Transactions that write applications: which keys are theirs, and the changes of those keys that this means.

Plain functions on a connection, without side effects. Source: control-plane protocol reference 2.15.
"""

from sqlalchemy import Connection

from gatewright.deployment.artifact_writes import Scope
from gatewright.deployment.ids import usable_id
from gatewright.deployment.plan_writes import LONGEST_TEXT
from gatewright.deployment.results import Change
from gatewright.deployment.subscription_requests import ApplicationEvent
from gatewright.deployment.subscription_results import ApplicationApplied, RecordIgnored
from gatewright.store import api_keys, applications, changes
from gatewright.store.rows import API_KEY, ApiKeyRow, ApplicationRow


def apply(connection: Connection, scope: Scope, event: ApplicationEvent) -> ApplicationApplied | RecordIgnored:
    """`application.updated`: the set of keys replaces the stored one.

    Keys that are not here are noted all the same: they may be told of later, and there is no list to mend it.
    """
    problem = _unusable(event)
    if problem is not None:
        return problem
    wanted = {key_id for key_id in event.key_ids if usable_id(key_id)}
    existing = applications.find(connection, scope.gateway_id, event.uuid)
    known = set(applications.keys_of(connection, scope.gateway_id, event.uuid)) if existing else set()
    row = ApplicationRow(
        uuid=event.uuid,
        handle=event.handle,
        name=event.name,
        type=event.type,
        created_at=existing.created_at if existing else scope.now,
        updated_at=scope.now,
    )
    if wanted:
        applications.put(connection, scope.gateway_id, row)
        applications.map_keys(connection, scope.gateway_id, event.uuid, wanted, scope.now)
    elif existing is not None:
        applications.remove(connection, scope.gateway_id, event.uuid)
    is_renamed = existing is not None and (existing.handle, existing.name) != (row.handle, row.name)
    concerned = known | wanted if is_renamed else known ^ wanted
    keys = api_keys.some(connection, scope.gateway_id, sorted(concerned))
    return ApplicationApplied(row if wanted else None, tuple(_record(connection, scope, key) for key in keys))


def _unusable(event: ApplicationEvent) -> RecordIgnored | None:
    texts = (event.handle, event.name, event.type)
    if not event.uuid or not all(texts):
        return RecordIgnored("MISSING_FIELD", "the application lacks its id, its UUID, its name or its type")
    if not usable_id(event.uuid) or max(map(len, texts)) > LONGEST_TEXT:
        return RecordIgnored("INVALID_FIELD", "the id, the UUID, the name or the type of the application is too long")
    return None


def _record(connection: Connection, scope: Scope, key: ApiKeyRow) -> Change:
    return changes.append(
        connection,
        scope.gateway_id,
        kind=API_KEY,
        entity_id=key.uuid,
        artifact_id=key.api_id,
        action="UPDATE",
        correlation_id=scope.correlation_id,
        at=scope.now,
    )
