"""Policies of a document as hub policies of API Manager. Pure. Source: API Manager reference, 10.4."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

_NO_VERSION = "1.0"


def hub_policies(policies: Iterable[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    """The policies of an API or of an operation, in their order."""
    return [_hub_policy(policy) for policy in policies or ()]


def hub_version(version: str) -> str:
    """`v1` is `1.0`, `v0.2` is `0.2`, `v1.2.3` stays `1.2.3`; nothing is `1.0`."""
    bare = version.strip().removeprefix("v")
    if not bare:
        return _NO_VERSION
    return bare if "." in bare else f"{bare}.0"


def policy_id(name: str, version: str) -> str:
    """The id of a policy at the hub; `version` as `hub_version` gives it."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"apim:policy:{name}:{version}"))


def _hub_policy(policy: Mapping[str, Any]) -> dict[str, Any]:
    name, version = str(policy.get("name") or ""), hub_version(str(policy.get("version") or ""))
    return {
        "policyName": name,
        "policyId": policy_id(name, version),
        "policyVersion": version,
        "policyType": None,
        "parameters": policy.get("params") or {},
    }
