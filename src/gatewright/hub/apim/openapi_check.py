"""Whether a document is an OpenAPI definition, as far as API Manager would refuse it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_PATH_MEMBERS: Final = frozenset({"summary", "description", "servers", "parameters", "$ref"})
_PLACES: Final = frozenset({"path", "query", "header", "cookie", "body", "formData"})
_MAX_PROBLEMS: Final = 10


def problems(definition: Any) -> list[str]:  # noqa: ANN401 - any JSON value
    """What is wrong with a definition, the first few things; empty for a good one."""
    found: list[str] = []
    for problem in _problems(definition):
        found.append(problem)
        if len(found) == _MAX_PROBLEMS:
            break
    return found


def completed(definition: Mapping[str, Any], operations: Sequence[Mapping[str, Any]], *, prune: bool) -> dict[str, Any]:
    """`definition` with an entry for every operation; with `prune` without entries for any other."""
    wanted = {(str(each["target"]), str(each["verb"]).lower()) for each in operations}
    paths = {path: dict(item) if isinstance(item, dict) else item for path, item in definition["paths"].items()}
    if prune:
        for path, item in [(path, item) for path, item in paths.items() if path.startswith("/")]:
            for method in METHODS:
                if method in item and (path, method) not in wanted:
                    del item[method]
            if not any(method in item for method in METHODS):
                del paths[path]
    for path, method in sorted(wanted):
        item = paths.setdefault(path, {})
        if method in METHODS and method not in item:
            item[method] = {"responses": {"200": {"description": "OK"}}, **_parameters(path, item)}
    return {**definition, "paths": paths}


def _parameters(path: str, item: Mapping[str, Any]) -> dict[str, object]:
    shared = {each.get("name") for each in item.get("parameters", []) if isinstance(each, dict)}
    names = [part.partition("}")[0] for part in path.split("{")[1:]]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in dict.fromkeys(names)
        if name not in shared
    ]
    return {"parameters": parameters} if parameters else {}


def _problems(definition: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if not isinstance(definition, dict):
        yield "the definition is not a mapping"
        return
    version = definition.get("openapi", definition.get("swagger"))
    if not isinstance(version, str) or not version.startswith(("3.", "2.0")):
        yield "openapi must be a text such as 3.0.0"
    info = definition.get("info")
    for member in ("title", "version"):
        value = info.get(member) if isinstance(info, dict) else None
        if not isinstance(value, str) or not value:
            yield f"info.{member} must be a text that is not empty"
    paths = definition.get("paths")
    if not isinstance(paths, dict):
        yield "paths must be a mapping"
        return
    for path, item in paths.items():
        yield from _path_problems(path, item)


def _path_problems(path: str, item: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    where = f"paths.{path}"
    if path.startswith("x-"):
        return
    if not path.startswith("/"):
        yield f"{where} must begin with a slash"
    if path.count("{") != path.count("}"):
        yield f"{where} has an unbalanced brace"
    if not isinstance(item, dict):
        yield f"{where} must be a mapping"
        return
    shared = item.get("parameters", [])
    for member, value in item.items():
        if member in METHODS:
            yield from _operation_problems(f"{where}.{member}", path, value, shared)
        elif member not in _PATH_MEMBERS and not member.startswith("x-"):
            yield f"{where}.{member} is no method"


def _operation_problems(where: str, path: str, operation: Any, shared: Any) -> Iterator[str]:  # noqa: ANN401
    if not isinstance(operation, dict):
        yield f"{where} must be a mapping"
        return
    responses = operation.get("responses")
    if not isinstance(responses, dict) or not responses:
        yield f"{where}.responses must be a mapping that is not empty"
    own = operation.get("parameters", [])
    if not isinstance(own, list) or not isinstance(shared, list):
        yield f"{where}.parameters must be a list"
        return
    declared = set()
    for parameter in [*shared, *own]:
        if not isinstance(parameter, dict):
            yield f"{where}.parameters must hold mappings"
        elif "$ref" in parameter:
            declared.update(_names_in(path))
        elif not isinstance(parameter.get("name"), str) or parameter.get("in") not in _PLACES:
            yield f"{where}.parameters: each needs a name and a place"
        elif parameter["in"] == "path":
            declared.add(parameter["name"])
            if parameter.get("required") is not True:
                yield f"{where}.parameters.{parameter['name']} must be required"
    for name in _names_in(path):
        if name not in declared:
            yield f"{where} does not declare the path parameter {name}"


def _names_in(path: str) -> list[str]:
    return [part.partition("}")[0] for part in path.split("{")[1:]]
