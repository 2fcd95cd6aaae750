"""Mcp: a proxy in front of a server of the Model Context Protocol.

Pure. Source: management API reference, section 12.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gatewright.artifacts import llm_parts, shapes
from gatewright.artifacts.credentials import NO_AUTH
from gatewright.artifacts.document_kinds import DocumentKind
from gatewright.artifacts.durations import resilience_problems
from gatewright.artifacts.metadata import metadata_problems
from gatewright.artifacts.policies import PolicyCatalogue
from gatewright.artifacts.policy_rules import policy_problems
from gatewright.artifacts.problems import ValidationProblem
from gatewright.artifacts.restapi_rules import is_reserved, resolve_version
from gatewright.artifacts.upstream_rules import definition_problems

KIND: Final = "Mcp"
SPEC_VERSIONS: Final = ("2025-06-18", "2025-11-25")

_DISPLAY_NAME = re.compile(r"[a-zA-Z0-9\-_. ]+")
_VERSION = re.compile(r"v?[0-9]+(\.[0-9]+)?(\.[0-9]+)?")
_LONGEST_VERSION = 128
_LONGEST_CONTEXT = 200  # bytes

_ARGUMENT = shapes.Record(
    {"name": shapes.TEXT, "title": shapes.TEXT, "description": shapes.TEXT, "required": shapes.BOOLEAN}
)
SHAPE = shapes.envelope(
    shapes.Record(
        {
            "displayName": shapes.TEXT,
            "version": shapes.TEXT,
            "context": shapes.TEXT,
            "vhost": shapes.TEXT,
            "specVersion": shapes.TEXT,
            "upstreamDefinitions": shapes.ListOf(shapes.UPSTREAM_DEFINITION),
            "upstream": llm_parts.UPSTREAM,
            "policies": shapes.ListOf(shapes.POLICY),
            "tools": shapes.ListOf(
                shapes.Record(
                    {
                        "name": shapes.TEXT,
                        "title": shapes.TEXT,
                        "description": shapes.TEXT,
                        "inputSchema": shapes.TEXT,
                        "outputSchema": shapes.TEXT,
                    }
                )
            ),
            "resources": shapes.ListOf(
                shapes.Record(
                    {
                        "uri": shapes.TEXT,
                        "name": shapes.TEXT,
                        "title": shapes.TEXT,
                        "description": shapes.TEXT,
                        "mimeType": shapes.TEXT,
                        "size": shapes.INTEGER,
                    }
                )
            ),
            "prompts": shapes.ListOf(
                shapes.Record(
                    {
                        "name": shapes.TEXT,
                        "title": shapes.TEXT,
                        "description": shapes.TEXT,
                        "arguments": shapes.ListOf(_ARGUMENT),
                    }
                )
            ),
            "resilience": shapes.RESILIENCE,
            "deploymentState": shapes.TEXT,
        }
    )
)


def _problems(document: Mapping[str, Any]) -> Iterator[ValidationProblem]:
    spec = document.get("spec") or {}
    if document.get("kind") != KIND:
        yield ValidationProblem("kind", "Unsupported configuration kind (only 'Mcp' is supported)")
    yield from metadata_problems(document)
    yield from _display_name_problems(spec.get("displayName", ""))
    yield from _version_problems(spec.get("version", ""))
    if spec.get("specVersion", "") and spec["specVersion"] not in SPEC_VERSIONS:
        yield ValidationProblem(
            "spec.specVersion", f"Unsupported MCP spec version (supported versions: {', '.join(SPEC_VERSIONS)})"
        )
    yield from _place_problems(spec)
    definitions = spec.get("upstreamDefinitions") or ()
    yield from definition_problems(definitions)
    yield from llm_parts.upstream_problems(spec, definitions, "Invalid URL format")
    yield from _auth_problems((spec.get("upstream") or {}).get("auth"))
    yield from resilience_problems(spec.get("resilience"), "spec.resilience")


def _display_name_problems(name: str) -> Iterator[ValidationProblem]:
    field = "spec.displayName"
    if not name:
        yield ValidationProblem(field, "MCP proxy displayName is required")
        return
    if len(name.encode("utf-8", "replace")) > 100:
        yield ValidationProblem(field, "MCP proxy displayName must be 1-100 characters")
    if not _DISPLAY_NAME.fullmatch(name):
        yield ValidationProblem(
            field,
            "MCP proxy displayName must be URL-friendly"
            " (only letters, numbers, spaces, hyphens, underscores, and dots allowed)",
        )


def _version_problems(version: str) -> Iterator[ValidationProblem]:
    if not version:
        yield ValidationProblem("spec.version", "Version is required")
    elif len(version) > _LONGEST_VERSION or not _VERSION.fullmatch(version):
        yield ValidationProblem("spec.version", "Version must follow semantic versioning pattern (e.g., v1.0, v2.1.3)")


def _place_problems(spec: Mapping[str, Any]) -> Iterator[ValidationProblem]:
    """Context and virtual host: one of them is needed."""
    field, context = "spec.context", spec.get("context", "")
    if not context:
        if not spec.get("vhost", ""):
            yield ValidationProblem("spec.vhost", "Vhost is required when context is not specified")
        return
    if not context.startswith("/"):
        yield ValidationProblem(field, "Context must start with /")
    if context != "/" and context.endswith("/"):
        yield ValidationProblem(field, "Context cannot end with / (except for root context)")
    if len(context.encode("utf-8", "replace")) > _LONGEST_CONTEXT:
        yield ValidationProblem(field, "Context must be 1-200 characters")
    elif is_reserved(resolve_version(context, spec.get("version", "")[:_LONGEST_VERSION])):
        yield ValidationProblem(field, llm_parts.RESERVED)


def _auth_problems(auth: Mapping[str, Any] | None) -> Iterator[ValidationProblem]:
    """Header and value belong to every type but `none`, where the original wants them too, to no purpose."""
    if auth is None:
        return
    field, kind, value = "spec.upstream.auth", auth.get("type", ""), auth.get("value", "")
    if not kind:
        yield ValidationProblem(f"{field}.type", "Auth type is required")
    if kind == NO_AUTH:
        return
    if not auth.get("header", ""):
        yield ValidationProblem(f"{field}.header", "Auth header is required")
    if not value:
        yield ValidationProblem(f"{field}.value", "Auth value is required")
    elif kind == "bearer" and not value.startswith(("Bearer ", "bearer ")):
        yield ValidationProblem(f"{field}.value", "Bearer token value must start with 'Bearer ' or 'bearer '")


def _policies(document: Mapping[str, Any], catalogue: PolicyCatalogue) -> Iterator[ValidationProblem]:
    yield from policy_problems((document.get("spec") or {}).get("policies"), "spec.policies", catalogue)


MCP = DocumentKind(
    kind=KIND,
    type_name="MCPProxyConfiguration",
    shape=SHAPE,
    problems=_problems,
    policies=_policies,
    references=lambda _document: (),
    credentials=(("spec", "upstream"),),
    one_list=True,
)
