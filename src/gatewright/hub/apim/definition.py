"""What API Manager makes of an API for a platform gateway: a RestApi document, with its quirks. Pure.

Unset members are written as nulls, and of a policy's version only the major number is left.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

_API_VERSION: Final = "gateway.api-platform.wso2.com/v1alpha1"
_MAX_NAME: Final = 63
_GOOD_NAME = re.compile(r"[a-z0-9][a-z0-9-]*[a-z0-9]")
_FLOWS: Final = ("request", "response", "fault")


def gateway_document(data: Mapping[str, Any]) -> bytes:
    """The `api.yaml` of a deployed API, from its data as the Publisher keeps it."""
    operations = [_operation(entry) for entry in _list(data, "operations")]
    spec = {
        "displayName": data["name"],
        "version": data["version"],
        "context": data["context"],
        "upstream": _upstream(_mapping(data, "endpointConfig")),
        "policies": [*_attached(data, "apiPolicies"), *_hub(data, "apiHubPolicies")],
        "operations": operations or [{"method": "GET", "path": "/*", "policies": []}],
    }
    tree = {
        "apiVersion": _API_VERSION,
        "kind": "RestApi",
        "metadata": {"name": handle(str(data["name"]), str(data["version"]))},
        "spec": spec,
    }
    text: str = yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text.encode()


def handle(name: str, version: str) -> str:
    """The handle that API Manager derives from a display name and a version."""
    joined = re.sub(r"-+", "-", re.sub(r"[^a-z0-9-]", "-", f"{name}-{version}".lower())).strip("-")[:_MAX_NAME]
    return joined if _GOOD_NAME.fullmatch(joined) else f"api-{joined}"


def endpoint(config: Mapping[str, Any], name: str) -> str:
    """The URL of `production_endpoints` or `sandbox_endpoints`: of one, or of the first of several."""
    found = config.get(name)
    if isinstance(found, list):
        found = found[0] if found else None
    url = found.get("url") if isinstance(found, dict) else None
    return url if isinstance(url, str) else ""


class _Dumper(yaml.CSafeDumper):
    """Writes no anchors: API Manager's writer knows none."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _upstream(config: Mapping[str, Any]) -> dict[str, object]:
    sandbox = endpoint(config, "sandbox_endpoints")
    return {
        "main": {"url": endpoint(config, "production_endpoints"), "ref": None},
        "sandbox": {"url": sandbox, "ref": None} if sandbox else None,
    }


def _operation(entry: Mapping[str, Any]) -> dict[str, object]:
    return {
        "method": str(entry.get("verb", "")).upper(),
        "path": entry.get("target", ""),
        "policies": [*_attached(entry, "operationPolicies"), *_hub(entry, "operationHubPolicies")],
    }


def _attached(holder: Mapping[str, Any], member: str) -> Iterator[dict[str, object]]:
    flows = _mapping(holder, member)
    for flow in _FLOWS:
        for policy in _list(flows, flow):
            yield _policy(policy)


def _hub(holder: Mapping[str, Any], member: str) -> Iterator[dict[str, object]]:
    for policy in _list(holder, member):
        yield _policy(policy)


def _policy(policy: Mapping[str, Any]) -> dict[str, object]:
    return {
        "name": policy.get("policyName"),
        "version": _major(str(policy.get("policyVersion", ""))),
        "executionCondition": None,
        "params": policy.get("parameters") or None,
    }


def _major(version: str) -> str:
    match = re.match(r"v?(\d{1,9})(?:\.|$)", version)
    return f"v{int(match[1])}" if match else "v1"


def _mapping(holder: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    found = holder.get(member)
    return found if isinstance(found, dict) else {}


def _list(holder: Mapping[str, Any], member: str) -> list[Mapping[str, Any]]:
    found = holder.get(member)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
