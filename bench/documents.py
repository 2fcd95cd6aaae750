"""The APIs of the benchmark: eight operations each, as an API over a collection of things has them. Pure."""

import json
from typing import Any

KEY_POLICY = {"name": "api-key-auth", "version": "v1", "params": {"key": "API-Key", "in": "header"}}
OPERATIONS = (
    ("GET", "/items"),
    ("POST", "/items"),
    ("GET", "/items/{id}"),
    ("PUT", "/items/{id}"),
    ("DELETE", "/items/{id}"),
    ("GET", "/items/{id}/parts"),
    ("GET", "/reports/{year}/{month}"),
    ("GET", "/status"),
)
CALLED = "/items/42"
"""What is asked of every API: a path with a parameter, so an expression and not only a text has to match."""


def context(name: str) -> str:
    """The first segment of the API's paths."""
    return f"/{name}"


def path(name: str) -> str:
    """A path of the API that answers 200."""
    return context(name) + CALLED


def rest_api(name: str, upstream: str, *, protected: bool = False, operations: int = len(OPERATIONS)) -> bytes:
    """A document in JSON; `upstream` is a URL. `protected` asks for an API key on every operation."""
    spec: dict[str, Any] = {
        "displayName": name,
        "version": "v1.0",
        "context": context(name),
        "upstream": {"main": {"url": upstream}},
        "operations": [{"method": method, "path": pattern} for method, pattern in OPERATIONS[:operations]],
    }
    if protected:
        spec["policies"] = [KEY_POLICY]
    document = {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": "RestApi",
        "metadata": {"name": name},
        "spec": spec,
    }
    return json.dumps(document).encode()


def silent_upstream(number: int) -> str:
    """An upstream of its own for an API that nobody calls: a loopback address where nothing listens."""
    return f"http://127.{64 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}:9"
