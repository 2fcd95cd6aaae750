"""LlmProvider: an account at an LLM, exposed with access control and policies.

Pure. Source: management API reference, section 10.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gatewright.artifacts import llm_parts, llm_template, shapes
from gatewright.artifacts.document_kinds import DocumentKind, Reference
from gatewright.artifacts.durations import resilience_problems
from gatewright.artifacts.problems import ValidationProblem
from gatewright.artifacts.upstream_rules import definition_problems

KIND: Final = "LlmProvider"
MODES: Final = ("allow_all", "deny_all")

SHAPE = shapes.envelope(
    shapes.Record(
        {
            "displayName": shapes.TEXT,
            "version": shapes.TEXT,
            "context": shapes.TEXT,
            "vhost": shapes.TEXT,
            "template": shapes.TEXT,
            "upstreamDefinitions": shapes.ListOf(shapes.UPSTREAM_DEFINITION),
            "upstream": llm_parts.UPSTREAM,
            "accessControl": shapes.Record(
                {
                    "mode": shapes.TEXT,
                    "exceptions": shapes.ListOf(shapes.Record({"path": shapes.TEXT, "methods": llm_parts.METHODS})),
                }
            ),
            **llm_parts.POLICY_MEMBERS,
            "resilience": shapes.RESILIENCE,
            "deploymentState": shapes.TEXT,
        }
    )
)


def _problems(document: Mapping[str, Any]) -> Iterator[ValidationProblem]:
    spec = document.get("spec") or {}
    if document.get("kind") != KIND:
        yield ValidationProblem("kind", f"Kind must be '{KIND}'")
    yield from llm_parts.metadata_problems(document)
    yield from llm_parts.display_name_problems(spec)
    yield from llm_parts.version_problems(spec, "Provider version format is invalid (expected vX.Y.Z)")
    if not spec.get("template", "").strip():
        yield ValidationProblem("spec.template", "Template reference is required")
    yield from llm_parts.context_problems(spec)
    definitions = spec.get("upstreamDefinitions") or ()
    yield from definition_problems(definitions)
    yield from llm_parts.upstream_problems(spec, definitions, "Upstream URL is malformed")
    yield from llm_parts.auth_problems((spec.get("upstream") or {}).get("auth"), "spec.upstream.auth")
    yield from _access_problems(spec.get("accessControl") or {})
    yield from llm_parts.exclusivity_problems(spec)
    yield from resilience_problems(spec.get("resilience"), "spec.resilience")


def _access_problems(access: Mapping[str, Any]) -> Iterator[ValidationProblem]:
    if access.get("mode", "") not in MODES:
        yield ValidationProblem(
            "spec.accessControl.mode", "Access control mode must be either 'allow_all' or 'deny_all'"
        )
    for index, exception in enumerate(access.get("exceptions") or ()):
        where = f"spec.accessControl.exceptions[{index}]"
        if not exception.get("path", ""):
            yield ValidationProblem(f"{where}.path", "Exception path is required")
        if not exception.get("methods"):
            yield ValidationProblem(f"{where}.methods", "At least one method is required for exception")


PROVIDER = DocumentKind(
    kind=KIND,
    type_name="LLMProviderConfiguration",
    shape=SHAPE,
    problems=_problems,
    policies=llm_parts.llm_policy_problems,
    references=lambda document: (Reference(llm_template.KIND, document["spec"]["template"].strip()),),
    credentials=(("spec", "upstream"),),
)
