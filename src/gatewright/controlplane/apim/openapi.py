"""The definition of an API that API Manager does not know yet. Pure. Source: API Manager reference, 10.6."""

import re
from collections.abc import Iterable
from typing import Any, Final

VERSION: Final = "3.0.0"
_PARAMETER: Final = re.compile(r"\{([^{}]+)\}")


def definition(title: str, version: str, server: str, operations: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """An OpenAPI document; `operations` are method and path. Of two that are equal the last one stays."""
    paths: dict[str, dict[str, Any]] = {}
    for method, path in operations:
        if method and path:
            paths.setdefault(path, {})[method.lower()] = _operation(path)
    return {
        "openapi": VERSION,
        "info": {"title": title, "version": version},
        "servers": [{"url": server or "/"}],
        "paths": paths,
    }


def _operation(path: str) -> dict[str, Any]:
    described: dict[str, Any] = {"responses": {"200": {"description": "Successful response"}}}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in dict.fromkeys(_PARAMETER.findall(path))
    ]
    return {**described, "parameters": parameters} if parameters else described
