"""LlmProxy: an application's view of one LLM provider, or of several.

Pure. Source: management API reference, section 11.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gatewright.artifacts import llm_parts, llm_provider, shapes
from gatewright.artifacts.document_kinds import DocumentKind, Reference
from gatewright.artifacts.durations import resilience_problems
from gatewright.artifacts.problems import ValidationProblem

KIND: Final = "LlmProxy"

_NAME = re.compile(r"[a-zA-Z0-9\-_]+")
_MAJOR = re.compile(r"v[0-9]+")

SHAPE = shapes.envelope(
    shapes.Record(
        {
            "displayName": shapes.TEXT,
            "version": shapes.TEXT,
            "context": shapes.TEXT,
            "vhost": shapes.TEXT,
            "provider": shapes.Record({"id": shapes.TEXT, "auth": llm_parts.AUTH}),
            "additionalProviders": shapes.ListOf(
                shapes.Record(
                    {
                        "id": shapes.TEXT,
                        "as": shapes.TEXT,
                        "auth": llm_parts.AUTH,
                        "transformer": shapes.Record(
                            {"type": shapes.TEXT, "version": shapes.TEXT, "params": shapes.FREE_OBJECT}
                        ),
                    }
                )
            ),
            **llm_parts.POLICY_MEMBERS,
            "resilience": shapes.RESILIENCE,
            "deploymentState": shapes.TEXT,
        }
    )
)


def upstream_name(entry: Mapping[str, Any]) -> str:
    """What policies call an additional provider."""
    return str(entry.get("as", "") or entry.get("id", ""))


def _problems(document: Mapping[str, Any]) -> Iterator[ValidationProblem]:
    spec = document.get("spec") or {}
    if document.get("kind") != KIND:
        yield ValidationProblem("kind", f"Kind must be '{KIND}'")
    yield from llm_parts.metadata_problems(document)
    yield from llm_parts.display_name_problems(spec)
    yield from llm_parts.version_problems(spec, "Proxy version format is invalid (expected vX.Y.Z)")
    yield from llm_parts.context_problems(spec)
    provider = spec.get("provider") or {}
    if not provider.get("id", ""):
        yield ValidationProblem("spec.provider.id", "Provider is required")
        return
    if not llm_parts.is_handle(provider["id"]):
        yield ValidationProblem("spec.provider.id", f"spec.provider.id {llm_parts.HANDLE_RULE}")
    yield from llm_parts.auth_problems(provider.get("auth"), "spec.provider.auth")
    yield from _additional_problems(spec)
    yield from llm_parts.exclusivity_problems(spec)
    yield from resilience_problems(spec.get("resilience"), "spec.resilience")


def _additional_problems(spec: Mapping[str, Any]) -> Iterator[ValidationProblem]:
    names = {spec["provider"]["id"]}
    for index, entry in enumerate(spec.get("additionalProviders") or ()):
        where = f"spec.additionalProviders[{index}]"
        if not entry.get("id", ""):
            yield ValidationProblem(f"{where}.id", "Provider is required")
        elif not llm_parts.is_handle(entry["id"]):
            yield ValidationProblem(f"{where}.id", f"{where}.id {llm_parts.HANDLE_RULE}")
        if entry.get("as", "") and not _NAME.fullmatch(entry["as"]):
            yield ValidationProblem(
                f"{where}.as", f"{where}.as must contain only letters, numbers, hyphens, or underscores"
            )
        name = upstream_name(entry)
        if name and name in names:
            yield ValidationProblem(where, f"duplicate upstream name '{name}' in additionalProviders")
        names.add(name)
        yield from llm_parts.auth_problems(entry.get("auth"), f"{where}.auth")
        yield from _transformer_problems(entry.get("transformer"), f"{where}.transformer")


def _transformer_problems(transformer: Mapping[str, Any] | None, where: str) -> Iterator[ValidationProblem]:
    if transformer is None:
        return
    if not transformer.get("type", "").strip():
        yield ValidationProblem(f"{where}.type", "Transformer type is required")
    version = transformer.get("version", "").strip()
    if not version:
        yield ValidationProblem(f"{where}.version", "Transformer version is required")
    elif not _MAJOR.fullmatch(version):
        yield ValidationProblem(f"{where}.version", "Transformer version must be major-only (e.g. v1)")


def _references(document: Mapping[str, Any]) -> tuple[Reference, ...]:
    spec = document["spec"]
    return (
        Reference(llm_provider.KIND, spec["provider"]["id"], is_base=True),
        *(Reference(llm_provider.KIND, entry["id"]) for entry in spec.get("additionalProviders") or ()),
    )


PROXY = DocumentKind(
    kind=KIND,
    type_name="LLMProxyConfiguration",
    shape=SHAPE,
    problems=_problems,
    policies=llm_parts.llm_policy_problems,
    references=_references,
    credentials=(("spec", "provider"), ("spec", "additionalProviders", "*")),
)
