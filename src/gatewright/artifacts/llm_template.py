"""LlmProviderTemplate: where an LLM's requests and answers say how many tokens they cost, and of which model.

Pure. Source: management API reference, section 9.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gatewright.artifacts import shapes
from gatewright.artifacts.document_kinds import DocumentKind
from gatewright.artifacts.llm_parts import display_name_problems, metadata_problems
from gatewright.artifacts.problems import InvalidArtifact, ValidationProblem

KIND: Final = "LlmProviderTemplate"
DEFAULT_VERSION: Final = "v1.0"
DEFAULT_MANAGER: Final = "organization"
LOCATIONS: Final = ("payload", "header", "queryParam", "pathParam")

_OF_ALL = ("promptTokens", "completionTokens", "totalTokens", "requestModel", "responseModel", "remainingTokens")
_OF_RESOURCE = ("promptTokens", "completionTokens", "totalTokens", "remainingTokens", "requestModel", "responseModel")
_SEGMENT = r"(?:[A-Za-z0-9._~-]+|\*|\{[A-Za-z0-9._~-]+\})"
_RESOURCE = re.compile(rf"/|/{_SEGMENT}(?:/{_SEGMENT})*")

_IDENTIFIER = shapes.Record({"location": shapes.TEXT, "identifier": shapes.TEXT})
_IDENTIFIERS: Final[dict[str, shapes.Shape]] = dict.fromkeys(_OF_ALL, _IDENTIFIER)
SHAPE = shapes.envelope(
    shapes.Record(
        {
            "displayName": shapes.TEXT,
            "groupId": shapes.TEXT,
            "version": shapes.TEXT,
            "managedBy": shapes.TEXT,
            "resourceMappings": shapes.Record(
                {"resources": shapes.ListOf(shapes.Record({"resource": shapes.TEXT, **_IDENTIFIERS}))}
            ),
            **_IDENTIFIERS,
        }
    )
)


class FixedMember(InvalidArtifact):
    """An update wants another handle, group or version. `message` is the original's text without prefix."""

    def __init__(self, field: str, message: str) -> None:
        self.message = message
        super().__init__((ValidationProblem(field, message),))


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """With the defaults written out, as they are stored and shown."""
    spec = dict(document.get("spec") or {})
    spec["groupId"] = spec.get("groupId") or str((document.get("metadata") or {}).get("name", ""))
    spec["version"] = spec.get("version") or DEFAULT_VERSION
    spec["managedBy"] = spec.get("managedBy") or DEFAULT_MANAGER
    return {**document, "spec": spec}


def check_replacement(document: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Handle, group and version stay as they are for ever. Both documents are completed. Raises FixedMember."""
    before, after = stored["metadata"]["name"], document["metadata"]["name"]
    if after != before:
        raise FixedMember(
            "metadata.name", f"cannot change template handle from '{before}' to '{after}'; use create/delete instead"
        )
    for member in ("groupId", "version"):
        before, after = stored["spec"].get(member, ""), document["spec"].get(member, "")
        if after != before:
            raise FixedMember(
                f"spec.{member}",
                f"cannot change template {member} from '{before}' to '{after}'; {member} is immutable",
            )


def _problems(document: Mapping[str, Any]) -> Iterator[ValidationProblem]:
    spec = document.get("spec") or {}
    if document.get("kind") != KIND:
        yield ValidationProblem("kind", f"Kind must be '{KIND}'")
    yield from metadata_problems(document, labels=False)
    yield from display_name_problems(spec)
    yield from _identifier_problems(spec, "spec", _OF_ALL)
    mappings = spec.get("resourceMappings")
    if mappings is None:
        return
    where = "spec.resourceMappings.resources"
    resources = mappings.get("resources") or ()
    if not resources:
        yield ValidationProblem(where, "resources must be non-empty")
    for index, resource in enumerate(resources):
        if not _RESOURCE.fullmatch(resource.get("resource", "")):
            yield ValidationProblem(
                f"{where}[{index}].resource",
                "resource must be an absolute path starting with '/' and contain no spaces",
            )
        yield from _identifier_problems(resource, f"{where}[{index}]", _OF_RESOURCE)


def _identifier_problems(holder: Mapping[str, Any], where: str, names: tuple[str, ...]) -> Iterator[ValidationProblem]:
    for name in names:
        identifier = holder.get(name)
        if identifier is None:
            continue
        if identifier.get("location", "") not in LOCATIONS:
            yield ValidationProblem(
                f"{where}.{name}.location", "Location must be 'payload' or 'header' or 'queryParam' or 'pathParam'"
            )
        if not identifier.get("identifier", ""):
            yield ValidationProblem(f"{where}.{name}.identifier", "Identifier is required")


TEMPLATE = DocumentKind(
    kind=KIND,
    type_name="LLMProviderTemplate",
    shape=SHAPE,
    problems=_problems,
    policies=lambda _document, _catalogue: iter(()),
    references=lambda _document: (),
    complete=completed,
)
