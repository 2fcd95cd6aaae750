"""The smallest valid document, a catalogue with a few policies, and one way to collect problems."""

from collections.abc import Callable
from typing import Any

import pytest

from gatewright.artifacts.policies import PolicyCatalogue, PolicyDefinition
from gatewright.artifacts.problems import InvalidArtifact
from gatewright.artifacts.restapi_validation import validate_restapi
from gatewright.artifacts.vhosts import VhostDefaults

Problems = Callable[[Any], list[tuple[str, str]]]


@pytest.fixture
def document() -> dict[str, Any]:
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": "RestApi",
        "metadata": {"name": "ping"},
        "spec": {
            "displayName": "Ping",
            "version": "v1.0",
            "context": "/ping",
            "upstream": {"main": {"url": "http://echo:3000"}},
            "operations": [{"method": "GET", "path": "/"}],
        },
    }


@pytest.fixture(scope="session")
def catalogue() -> PolicyCatalogue:
    quota = {
        "type": "object",
        "required": ["limit"],
        "additionalProperties": False,
        "properties": {
            "limit": {"type": "integer", "minimum": 1},
            "strict": {"type": "boolean"},
            "names": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "number"}}}},
        },
    }
    return PolicyCatalogue(
        [
            PolicyDefinition("quota", "v1.2.3", parameters=quota),
            PolicyDefinition("quota", "v2.0.0"),
            PolicyDefinition("two", "v1.0.0"),
            PolicyDefinition("two", "v1.10.0"),
            PolicyDefinition("free", "v0.9.0"),
        ]
    )


@pytest.fixture
def problems(catalogue: PolicyCatalogue) -> Problems:
    def collect(document: Any) -> list[tuple[str, str]]:
        try:
            validate_restapi(document, catalogue=catalogue, defaults=VhostDefaults())
        except InvalidArtifact as refused:
            return [(p.field, p.message) for p in refused.problems]
        return []

    return collect
