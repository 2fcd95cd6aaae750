"""What API Manager says of an API: who made it, and whether somebody edited it there since our last import. Pure.

Two kinds of evidence. Properties that we wrote say which gateway made the API, for which API of its own, with what
content; they survive edits by people. A fingerprint over everything that an import would overwrite, taken right after
our import, says whether people edited anything since; what API Manager changes by itself (state, times, workflow) and
what an import leaves alone is not in it, so that publishing an API is no edit.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from gatewright.controlplane.apim.archive import API_PROPERTY, CONTENT_PROPERTY, GATEWAY_PROPERTY

_OVERWRITTEN: Final = (
    "name",
    "version",
    "context",
    "displayName",
    "description",
    "transport",
    "tags",
    "categories",
    "policies",
    "apiThrottlingPolicy",
    "authorizationHeader",
    "apiKeyHeader",
    "securityScheme",
    "visibility",
    "visibleRoles",
    "visibleTenants",
    "visibleOrganizations",
    "accessControl",
    "accessControlRoles",
    "subscriptionAvailability",
    "subscriptionAvailableTenants",
    "apiPolicies",
    "apiHubPolicies",
    "mediationPolicies",
    "responseCachingEnabled",
    "cacheTimeout",
    "enableSchemaValidation",
    "maxTps",
    "corsConfiguration",
    "businessInformation",
    "endpointConfig",
    "endpointImplementationType",
    "keyManagers",
    "scopes",
    "audiences",
)
_OF_OPERATIONS: Final = (
    "target",
    "verb",
    "authType",
    "throttlingPolicy",
    "scopes",
    "operationPolicies",
    "operationHubPolicies",
)
_OWN: Final = "gatewright_"


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """An API at API Manager. `gateway`, `local_id` and `content` are what our properties say, empty without them.

    `from_gateway`: some gateway made it. `updated`: when API Manager says it was changed last, as it writes times.
    """

    id: str
    name: str
    version: str
    gateway: str = ""
    local_id: str = ""
    content: str = ""
    fingerprint: str = ""
    from_gateway: bool = False
    updated: str = ""


class Revision(msgspec.Struct, frozen=True):
    """A revision and the environments where it is deployed."""

    id: str
    environments: frozenset[str]


def remote(tree: object) -> Remote | None:
    """The answer about one API; None when it is none."""
    if not isinstance(tree, Mapping) or not isinstance(tree.get("id"), str):
        return None
    properties = _properties(tree.get("additionalProperties"))
    return Remote(
        id=tree["id"],
        name=str(tree.get("name") or ""),
        version=str(tree.get("version") or ""),
        gateway=properties.get(GATEWAY_PROPERTY, ""),
        local_id=properties.get(API_PROPERTY, ""),
        content=properties.get(CONTENT_PROPERTY, ""),
        fingerprint=_fingerprint(tree),
        from_gateway=tree.get("initiatedFromGateway") is True,
        updated=str(tree.get("lastUpdatedTime") or tree.get("lastUpdatedTimestamp") or ""),
    )


def ids_named(tree: object, name: str, version: str) -> list[str] | None:
    """Ids of the APIs of a list with exactly this name and version; None when the answer is no list."""
    items = tree.get("list") if isinstance(tree, Mapping) else None
    if not isinstance(items, list):
        return None
    return [
        str(item["id"])
        for item in items
        if isinstance(item, Mapping) and (item.get("name"), item.get("version")) == (name, version) and item.get("id")
    ]


def revisions(tree: object) -> list[Revision] | None:
    """Revisions in the order of the answer; None when it is no list of them."""
    items = tree.get("list") if isinstance(tree, Mapping) else None
    if not isinstance(items, list):
        return None
    return [
        Revision(str(item["id"]), frozenset(_environments(item.get("deploymentInfo"))))
        for item in items
        if isinstance(item, Mapping) and item.get("id")
    ]


def deployed_at(found: Iterable[Revision], environment: str) -> str:
    """The revision that is deployed in an environment; empty when none is."""
    return next((revision.id for revision in found if environment in revision.environments), "")


def _environments(info: object) -> Iterable[str]:
    return [str(item.get("name")) for item in info if isinstance(item, Mapping)] if isinstance(info, list) else []


def _properties(written: object) -> dict[str, str]:
    """Both forms that API Manager has had for them: a list of names and values, and a map."""
    if isinstance(written, list):
        items = [item for item in written if isinstance(item, Mapping)]
        return {str(item.get("name")): str(item.get("value") or "") for item in items}
    if isinstance(written, Mapping):
        return {
            str(name): str((item.get("value") if isinstance(item, Mapping) else item) or "")
            for name, item in written.items()
        }
    return {}


def _fingerprint(tree: Mapping[str, Any]) -> str:
    seen: dict[str, Any] = {name: tree.get(name) for name in _OVERWRITTEN}
    listed = tree.get("operations")
    operations = [item for item in listed if isinstance(item, Mapping)] if isinstance(listed, list) else []
    seen["operations"] = sorted(
        ({name: _bare(item.get(name)) for name in _OF_OPERATIONS} for item in operations),
        key=lambda item: (str(item["target"]), str(item["verb"])),
    )
    properties = _properties(tree.get("additionalProperties"))
    seen["properties"] = {name: value for name, value in properties.items() if not name.startswith(_OWN)}
    text = msgspec.json.encode(_bare(seen), order="deterministic")
    return hashlib.sha256(text).hexdigest()


def _bare(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Without members that hold nothing: whether an empty list is written or left out is no edit."""
    if isinstance(value, Mapping):
        members = {name: _bare(item) for name, item in value.items()}
        return {name: item for name, item in members.items() if item not in (None, "", [], {})}
    return [_bare(item) for item in value] if isinstance(value, list) else value
