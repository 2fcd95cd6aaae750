"""What a RestApi must keep: every broken rule, in the original's order, with its texts.

Pure; works on the shaped and rendered document. Source: management API reference, section 8.2. Policies need a
catalogue and are in `policy_rules.py`.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from gatewright.artifacts import shapes
from gatewright.artifacts.durations import resilience_problems
from gatewright.artifacts.plain import Plain
from gatewright.artifacts.problems import ValidationProblem
from gatewright.artifacts.upstream_rules import definition_problems, slot_problems

KIND = "RestApi"
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
RESERVED_NAMESPACE = "/_gateway-health"

_LONGEST_CONTEXT = 200  # bytes
_LONGEST_VERSION = 128  # characters; the original has no limit, but each $version in a context becomes this long

_DISPLAY_NAME = re.compile(r"[a-zA-Z0-9\-_. ]+")
_VERSION = re.compile(r"v?[0-9]+(\.[0-9]+)?(\.[0-9]+)?")

_OPERATION = shapes.Record(
    {
        "method": shapes.TEXT,
        "path": shapes.TEXT,
        "match": shapes.Record(
            {
                "method": shapes.TEXT,
                "path": shapes.Record({"value": shapes.TEXT, "type": shapes.TEXT}),
                "headers": shapes.ListOf(
                    shapes.Record({"name": shapes.TEXT, "value": shapes.TEXT, "type": shapes.TEXT})
                ),
            }
        ),
        "policies": shapes.ListOf(shapes.POLICY),
        "resilience": shapes.RESILIENCE,
    }
)
SHAPE = shapes.envelope(
    shapes.Record(
        {
            "displayName": shapes.TEXT,
            "version": shapes.TEXT,
            "context": shapes.TEXT,
            "upstream": shapes.Record({"main": shapes.UPSTREAM, "sandbox": shapes.UPSTREAM}),
            "upstreamDefinitions": shapes.ListOf(shapes.UPSTREAM_DEFINITION),
            "vhosts": shapes.Record({"main": shapes.TEXT, "sandbox": shapes.TEXT}),
            "subscriptionPlans": shapes.TEXTS,
            "policies": shapes.ListOf(shapes.POLICY),
            "resilience": shapes.RESILIENCE,
            "operations": shapes.ListOf(_OPERATION),
            "deploymentState": shapes.TEXT,
        }
    )
)


def read_shape(document: Plain) -> dict[str, Any]:
    """The stored form of a parsed document: known members only. Raises MalformedDocument."""
    return shapes.shaped(document, SHAPE, type_name="RestAPI")


def resolve_version(text: str, version: str) -> str:
    """`text` with every `$version` replaced by the version as written (DP-007)."""
    return text.replace("$version", version)


def written_form(operation: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Method and path that count, and the field suffixes they stand in: the `match` block wins when it is there."""
    match = operation.get("match")
    if match is None:
        return operation.get("method", ""), operation.get("path", ""), ".method", ".path"
    path = (match.get("path") or {}).get("value", "")
    return match.get("method", ""), path, ".match.method", ".match.path.value"


def restapi_problems(document: Mapping[str, Any]) -> Iterator[ValidationProblem]:
    """Everything up to, not including, policies and metadata."""
    spec = document.get("spec") or {}
    if document.get("kind") != KIND:
        yield ValidationProblem("kind", "Unsupported kind (must be 'RestApi')")
    yield from _display_name_problems(spec.get("displayName", ""))
    yield from _version_problems(spec.get("version", ""))
    yield from _context_problems(spec.get("context", ""))
    definitions = spec.get("upstreamDefinitions") or ()
    yield from definition_problems(definitions)
    upstream = spec.get("upstream") or {}
    yield from slot_problems(upstream.get("main") or {}, "spec.upstream.main", definitions)
    if "sandbox" in upstream:
        yield from slot_problems(upstream["sandbox"], "spec.upstream.sandbox", definitions)
    yield from resilience_problems(spec.get("resilience"), "spec.resilience")
    yield from _operations_problems(spec)


def _display_name_problems(name: str) -> Iterator[ValidationProblem]:
    field = "spec.displayName"
    if not name:
        yield ValidationProblem(field, "API display name is required")
        return
    if _size(name) > 100:
        yield ValidationProblem(field, "API display name must be 1-100 characters")
    if not _DISPLAY_NAME.fullmatch(name):
        yield ValidationProblem(
            field,
            "API display name must be URL-friendly"
            " (only letters, numbers, spaces, hyphens, underscores, and dots allowed)",
        )


def _version_problems(version: str) -> Iterator[ValidationProblem]:
    if not version:
        yield ValidationProblem("spec.version", "API version is required")
    elif len(version) > _LONGEST_VERSION or not _VERSION.fullmatch(version):
        yield ValidationProblem(
            "spec.version", "API version must follow semantic versioning pattern (e.g., v1.0, v2.1.3)"
        )


def _context_problems(context: str) -> Iterator[ValidationProblem]:
    field = "spec.context"
    if not context:
        yield ValidationProblem(field, "Context is required")
        return
    if not context.startswith("/"):
        yield ValidationProblem(field, "Context must start with /")
    if context != "/" and context.endswith("/"):
        yield ValidationProblem(field, "Context cannot end with / (except for root context)")
    if _size(context) > _LONGEST_CONTEXT:
        yield ValidationProblem(field, "Context must be 1-200 characters")


def _operations_problems(spec: Mapping[str, Any]) -> Iterator[ValidationProblem]:
    operations = spec.get("operations")
    if not operations:
        yield ValidationProblem("spec.operations", "At least one operation is required")
        return
    context, version = spec.get("context", ""), spec.get("version", "")
    if len(context) <= _LONGEST_CONTEXT and len(version) <= _LONGEST_VERSION:
        context = resolve_version(context, version)
    else:
        context = ""  # already refused; its product with every path would cost without telling anything
    for index, operation in enumerate(operations):
        yield from _operation_problems(operation, f"spec.operations[{index}]", context)


def _operation_problems(operation: Mapping[str, Any], where: str, context: str) -> Iterator[ValidationProblem]:
    method, path, method_suffix, path_suffix = written_form(operation)
    yield from _method_problems(method, where + method_suffix)
    field = where + path_suffix
    if not path:
        yield ValidationProblem(field, "Operation path is required (set operation.path or operation.match.path.value)")
        return
    if not path.startswith("/"):
        yield ValidationProblem(field, "Operation path must start with /")
    if is_reserved(context + path if context != "/" else path):
        yield ValidationProblem(
            field, "path conflicts with the reserved gateway health-check namespace (/_gateway-health)"
        )
    if path.count("{") != path.count("}"):
        yield ValidationProblem(field, "Operation path has unbalanced braces in parameters")
    yield from resilience_problems(operation.get("resilience"), f"{where}.resilience")


def _method_problems(method: str, field: str) -> Iterator[ValidationProblem]:
    if not method:
        yield ValidationProblem(field, "HTTP method is required (set operation.method or operation.match.method)")
    elif method.upper() not in METHODS:
        yield ValidationProblem(
            field,
            f"Invalid HTTP method '{method}' (must be GET, POST, PUT, DELETE, PATCH, HEAD, or OPTIONS)",
        )


def is_reserved(path: str) -> bool:
    """Whether a path, once its dot segments and double slashes are gone, is the gateway's own."""
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    return cleaned == RESERVED_NAMESPACE or cleaned.startswith(RESERVED_NAMESPACE + "/")


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
