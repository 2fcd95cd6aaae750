"""An API project as imported: what its three documents must say. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from gatewright.hub.apim import archive, openapi_check
from gatewright.hub.apim.definition import endpoint
from gatewright.hub.apim.problems import Refusal

GATEWAY_TYPE: Final = "APIPlatform"
VERBS: Final = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"})

_VERSION = re.compile(r"v\d+(\.\d+)*")
_MAX_NAME: Final = 255
_MAX_CONTEXT: Final = 232


class Target(msgspec.Struct, frozen=True):
    """An environment that an API shall be deployed to; an empty `vhost` means its first."""

    name: str
    display: bool
    vhost: str = ""


class Project(msgspec.Struct, frozen=True):
    """What is imported: the API's data, its OpenAPI definition, and where to deploy it."""

    data: dict[str, Any]
    definition: dict[str, Any]
    targets: tuple[Target, ...]


def read_project(content: bytes) -> Project:
    """Read and check an archive. Raises Refusal 400 or 413."""
    files = archive.read_files(content)
    api = _document(files.api, "api", "api.yaml")
    if not isinstance(api, dict):
        raise _invalid(["api.yaml: data must be a mapping"])
    environments = _document(files.environments, "deployment_environments", "deployment_environments.yaml")
    if not isinstance(environments, list) or not all(isinstance(each, dict) for each in environments):
        raise _invalid(["deployment_environments.yaml: data must be a list of mappings"])
    found = [
        *data_problems(api),
        *(problem for each in environments for problem in _environment_problems(each)),
    ]
    if found:
        raise _invalid(found)
    check_definition(files.definition)
    targets = (
        Target(each["deploymentEnvironment"], each.get("displayOnDevportal", True), each.get("deploymentVhost") or "")
        for each in environments
    )
    return Project(api, files.definition, tuple(targets))


def check_definition(definition: Any) -> None:  # noqa: ANN401 - any JSON value
    """Raises Refusal 400 for what is no OpenAPI definition."""
    found = openapi_check.problems(definition)
    if found:
        raise Refusal(400, f"Invalid OpenAPI definition: {'; '.join(found)}.", code=900754)


def check_data(data: Mapping[str, Any]) -> None:
    """Raises Refusal 400 for data that no API can have."""
    found = list(data_problems(data))
    if found:
        raise _invalid(found)


def data_problems(data: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the data of an API."""
    for member, limit in (("name", _MAX_NAME), ("version", _MAX_NAME), ("context", _MAX_CONTEXT)):
        value = data.get(member)
        if not isinstance(value, str) or not value.strip() or len(value) > limit:
            yield f"{member} must be a text of 1 to {limit} characters"
    context = data.get("context")
    if isinstance(context, str) and not context.startswith("/"):
        yield "context must begin with a slash"
    if data.get("gatewayType", GATEWAY_TYPE) != GATEWAY_TYPE:
        yield f"gatewayType must be {GATEWAY_TYPE}"
    config = data.get("endpointConfig")
    if not isinstance(config, dict) or not endpoint(config, "production_endpoints"):
        yield "endpointConfig.production_endpoints.url must be a text that is not empty"
    operations = data.get("operations", [])
    if not isinstance(operations, list):
        yield "operations must be a list"
        return
    yield from _policy_problems(data.get("apiHubPolicies", []), "apiHubPolicies")
    for index, operation in enumerate(operations):
        yield from _operation_problems(operation, f"operations[{index}]")


def _operation_problems(operation: Any, where: str) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if not isinstance(operation, dict):
        yield f"{where} must be a mapping"
        return
    target = operation.get("target")
    if not isinstance(target, str) or not target.startswith("/"):
        yield f"{where}.target must be a text that begins with a slash"
    if operation.get("verb") not in VERBS:
        yield f"{where}.verb must be one of {', '.join(sorted(VERBS))}"
    yield from _policy_problems(operation.get("operationHubPolicies", []), f"{where}.operationHubPolicies")


def _policy_problems(policies: Any, where: str) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if not isinstance(policies, list):
        yield f"{where} must be a list"
        return
    for index, policy in enumerate(policies):
        here = f"{where}[{index}]"
        if not isinstance(policy, dict):
            yield f"{here} must be a mapping"
            continue
        if not isinstance(policy.get("policyId"), str) or not policy["policyId"].strip():
            yield f"{here}: External policy identifier cannot be empty"
        for member in ("policyName", "policyVersion"):
            if not isinstance(policy.get(member), str) or not policy[member].strip():
                yield f"{here}.{member} must be a text that is not empty"
        if not isinstance(policy.get("parameters") or {}, dict):
            yield f"{here}.parameters must be a mapping"


def _environment_problems(environment: Mapping[str, Any]) -> Iterator[str]:
    name = environment.get("deploymentEnvironment")
    if not isinstance(name, str) or not name:
        yield "deploymentEnvironment must be a text that is not empty"
    if not isinstance(environment.get("displayOnDevportal", True), bool):
        yield "displayOnDevportal must be true or false"
    if not isinstance(environment.get("deploymentVhost") or "", str):
        yield "deploymentVhost must be a text"


def _document(tree: Any, kind: str, name: str) -> Any:  # noqa: ANN401 - any JSON value
    if not isinstance(tree, dict):
        raise _invalid([f"{name} must be a mapping"])
    version = tree.get("version")
    if tree.get("type") != kind or not isinstance(version, str) or _VERSION.fullmatch(version) is None:
        raise _invalid([f"{name} must have the type {kind} and a version such as v4.7.0"])
    return tree.get("data")


def _invalid(found: list[str]) -> Refusal:
    return Refusal(400, f"Error while importing the API: {'; '.join(found[:10])}.", code=900906)
