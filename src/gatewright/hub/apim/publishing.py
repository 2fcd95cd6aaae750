"""APIs as the Publisher keeps them: imported, made, edited, moved through their life, deleted. Transactions."""

import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update

from gatewright.hub.apim import deploying, openapi_check
from gatewright.hub.apim.problems import Refusal
from gatewright.hub.apim.project import GATEWAY_TYPE, Project, check_data, check_definition
from gatewright.hub.apim.tables import apis, deployments, revisions
from gatewright.hub.store import Unit
from gatewright.wire.codec import encode
from gatewright.wire.events import API_DELETED

MAX_APIS: Final = 100_000

CREATED: Final = "CREATED"
TRANSITIONS: Final[Mapping[str, Mapping[str, str]]] = {
    CREATED: {"Publish": "PUBLISHED", "Deploy as a Prototype": "PROTOTYPED"},
    "PROTOTYPED": {"Publish": "PUBLISHED", "Demote to Created": CREATED},
    "PUBLISHED": {
        "Block": "BLOCKED",
        "Deploy as a Prototype": "PROTOTYPED",
        "Demote to Created": CREATED,
        "Deprecate": "DEPRECATED",
        "Publish": "PUBLISHED",
    },
    "BLOCKED": {"Deprecate": "DEPRECATED", "Re-Publish": "PUBLISHED"},
    "DEPRECATED": {"Retire": "RETIRED"},
    "RETIRED": {},
}
"""State → action → state after it."""

_FIXED: Final = ("name", "version", "context", "provider")
_OWN: Final = frozenset(
    {
        "id",
        "lifeCycleStatus",
        "createdTime",
        "lastUpdatedTime",
        "lastUpdatedTimestamp",
        "isRevision",
        "revisionId",
        "revisionedApiId",
        "workflowStatus",
        "additionalPropertiesMap",
    }
)
"""Members that are not part of an API's data but of its row."""


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How an import is to be done, and by whom."""

    user: str
    preserve_provider: bool
    overwrite: bool
    rotate: bool
    append_version: bool = False
    duplicates: bool = False
    echo: bool = False


class Imported(msgspec.Struct, frozen=True):
    """What became of an import; `silent` when no gateway was told of it."""

    api_id: str
    revision_id: str
    silent: bool


def import_api(unit: Unit, project: Project, options: ImportOptions) -> Imported:
    """Create or update an API, freeze it as a revision and deploy that. Raises Refusal."""
    places = deploying.resolved(unit.connection, project.targets)
    data = {**project.data, "provider": _provider(project.data, options)}
    if options.append_version:
        data["context"] = f"{data['context']}/{data['version']}"
    present = by_name(unit.connection, data["name"], data["version"])
    if present is not None and present.provider != data["provider"]:
        message = f"An API of another provider has the name {data['name']} and the version {data['version']} already"
        raise Refusal(403, f"{message}; a new version of an API from a different provider cannot be made.")
    if present is not None and not options.overwrite:
        raise Refusal(409, f"The API {data['name']}:{data['version']} already exists.", code=900250)
    definition = openapi_check.completed(project.definition, data.get("operations", []), prune=False)
    if not options.duplicates:
        _refuse_taken_context(unit.connection, data)
    from_gateway = data.get("initiatedFromGateway") is True
    api_id = present.id if present is not None else _added(unit, data, options.user)
    _keep(unit, api_id, data, definition, options.user)
    api = find(unit.connection, api_id)
    gateways = [environment.gateway_id for _target, environment in places]
    revision_id = deploying.create_revision(unit, api, rotate=options.rotate, user=options.user, successors=gateways)
    announce = not from_gateway or options.echo
    deploying.deploy(unit, api, revision_id, project.targets, user=options.user, announce=announce)
    return Imported(api_id, revision_id, silent=not announce)


def create(unit: Unit, wanted: Mapping[str, Any], user: str) -> str:
    """An API that is made here, not yet deployed; answers its id. Raises Refusal."""
    data = {"gatewayType": GATEWAY_TYPE, "operations": [], **_without_own(wanted), "provider": user}
    check_data(data)
    if by_name(unit.connection, data["name"], data["version"]) is not None:
        raise Refusal(409, f"The API {data['name']}:{data['version']} already exists.", code=900250)
    _refuse_taken_context(unit.connection, data)
    bare = {"openapi": "3.0.1", "info": {"title": data["name"], "version": data["version"]}, "paths": {}}
    api_id = _added(unit, data, user)
    _keep(unit, api_id, data, openapi_check.completed(bare, data["operations"], prune=False), user)
    return api_id


def edit(unit: Unit, api_id: str, wanted: Mapping[str, Any], user: str) -> None:
    """Replace the members of an API that are given. Raises Refusal."""
    row = find(unit.connection, api_id)
    before = msgspec.json.decode(row.data, type=dict[str, Any])
    data = {**before, **_without_own(wanted)}
    changed = [member for member in _FIXED if data.get(member) != before.get(member)]
    if changed:
        raise Refusal(400, f"{', '.join(changed)} of an API cannot be changed.")
    check_data(data)
    _refuse_taken_context(unit.connection, data)
    definition = msgspec.json.decode(row.definition, type=dict[str, Any])
    _keep(unit, api_id, data, openapi_check.completed(definition, data["operations"], prune=True), user)


def edit_definition(unit: Unit, api_id: str, definition: dict[str, Any], user: str) -> None:
    """Replace the OpenAPI definition of an API. Raises Refusal."""
    row = find(unit.connection, api_id)
    check_definition(definition)
    _keep(unit, api_id, msgspec.json.decode(row.data, type=dict[str, Any]), definition, user)


def change_state(unit: Unit, api_id: str, action: str) -> str:
    """Move an API through its life, which counts as a change of it; answers its state. Raises Refusal."""
    row = find(unit.connection, api_id)
    state = TRANSITIONS[row.state].get(action)
    if state is None:
        possible = ", ".join(TRANSITIONS[row.state]) or "nothing"
        raise Refusal(400, f"{action!r} is not possible for an API that is {row.state}; possible: {possible}.")
    unit.connection.execute(update(apis).where(apis.c.id == api_id).values(state=state, updated_at=unit.now.unix_ms))
    return state


def remove(unit: Unit, api_id: str, user: str) -> None:
    """Delete an API and tell every gateway that it was deployed to. Raises Refusal 404."""
    find(unit.connection, api_id)
    told = unit.connection.execute(
        select(deployments.c.gateway_id).where(deployments.c.api_id == api_id).order_by(deployments.c.gateway_id)
    ).scalars()
    for gateway_id in list(told):
        unit.emit(gateway_id, API_DELETED, {"apiId": api_id}, user_id=user)
    unit.connection.execute(delete(apis).where(apis.c.id == api_id))


def find(connection: Connection, api_id: str) -> Row[Any]:
    """The row of an API. Raises Refusal 404."""
    row = connection.execute(select(apis).where(apis.c.id == api_id)).first()
    if row is None:
        raise Refusal(404, f"Requested API with Id '{api_id}' not found", code=900404)
    return row


def by_name(connection: Connection, name: str, version: str) -> Row[Any] | None:
    """The row of an API by name and version."""
    return connection.execute(select(apis).where(apis.c.name == name, apis.c.version == version)).first()


def swagger(connection: Connection, api_id: str) -> bytes:
    """The OpenAPI definition of an API or of a revision, as JSON. Raises Refusal 404."""
    found = connection.execute(select(revisions.c.definition).where(revisions.c.id == api_id)).scalar()
    text: str = find(connection, api_id).definition if found is None else found
    return text.encode()


def _provider(data: Mapping[str, Any], options: ImportOptions) -> str:
    named = data.get("provider")
    return named if options.preserve_provider and isinstance(named, str) and named else options.user


def _refuse_taken_context(connection: Connection, data: Mapping[str, Any]) -> None:
    other = connection.execute(
        select(apis.c.name, apis.c.version).where(apis.c.context == data["context"], apis.c.name != data["name"])
    ).first()
    if other is not None:
        message = f"A duplicate API context {data['context']} already exists: {other.name}:{other.version} has it."
        raise Refusal(409, message, code=900252)


def _added(unit: Unit, data: Mapping[str, Any], user: str) -> str:
    count = unit.connection.exec_driver_sql("SELECT COUNT(*) FROM apis").scalar_one()
    if count >= MAX_APIS:
        raise Refusal(400, f"There are {count} APIs, the most there may be.")
    api_id = str(uuid.uuid4())
    unit.connection.execute(
        insert(apis).values(
            id=api_id,
            name=data["name"],
            version=data["version"],
            context=data["context"],
            provider=data["provider"],
            state=CREATED,
            data="{}",
            definition="{}",
            from_gateway=False,
            last_revision=0,
            created_at=unit.now.unix_ms,
            updated_at=unit.now.unix_ms,
            updated_by=user,
        )
    )
    return api_id


def _keep(unit: Unit, api_id: str, data: Mapping[str, Any], definition: Mapping[str, Any], user: str) -> None:
    unit.connection.execute(
        update(apis)
        .where(apis.c.id == api_id)
        .values(
            context=data["context"],
            data=encode(data).decode(),
            definition=encode(definition).decode(),
            from_gateway=data.get("initiatedFromGateway") is True,
            updated_at=unit.now.unix_ms,
            updated_by=user,
        )
    )


def _without_own(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if name not in _OWN}
