"""Secret: a value that documents refer to by `{{ secret "<handle>" }}`. Not rendered, never pushed, kept encrypted.

Pure. Source: management API reference, section 17.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from pydantic import SecretStr

from gatewright.artifacts import shapes
from gatewright.artifacts.document_kinds import DocumentKind, read_shape
from gatewright.artifacts.metadata import metadata_problems
from gatewright.artifacts.problems import InvalidArtifact, ValidationProblem, listed

KIND: Final = "Secret"
LONGEST_VALUE: Final = 10_240
"""Bytes."""

_DISPLAY_NAME = re.compile(r"[a-zA-Z0-9\-_. ]+")
_LONGEST_DISPLAY_NAME = 253
_LONGEST_DESCRIPTION = 1024
_LONGEST_HANDLE = 255

SHAPE = shapes.envelope(shapes.Record({"displayName": shapes.TEXT, "description": shapes.TEXT, "value": shapes.TEXT}))


class Secret(msgspec.Struct, frozen=True):
    """A valid secret."""

    handle: str
    display_name: str
    description: str
    value: SecretStr


def read_secret(document: Mapping[str, Any]) -> Secret:
    """Check and type. Raises MalformedDocument, InvalidArtifact; no text quotes the value."""
    shaped = read_shape(document, SECRET)
    problems = listed(_problems(shaped))
    if problems:
        raise InvalidArtifact(problems)
    spec = shaped["spec"]
    return Secret(
        handle=shaped["metadata"]["name"],
        display_name=spec["displayName"],
        description=spec.get("description", ""),
        value=SecretStr(spec["value"]),
    )


def _problems(document: Mapping[str, Any]) -> Iterator[ValidationProblem]:
    spec = document.get("spec") or {}
    if document.get("kind") != KIND:
        yield ValidationProblem("kind", f"Unsupported configuration kind (only '{KIND}' is supported)")
    yield from metadata_problems(document)
    if len((document.get("metadata") or {}).get("name", "")) > _LONGEST_HANDLE:
        yield ValidationProblem("metadata.name", f"metadata.name must not exceed {_LONGEST_HANDLE} characters")
    yield from _display_name_problems(spec.get("displayName", ""))
    if len(spec.get("description", "")) > _LONGEST_DESCRIPTION:
        yield ValidationProblem(
            "spec.description", f"Secret description must be at most {_LONGEST_DESCRIPTION} characters"
        )
    value = spec.get("value", "")
    if not value:
        yield ValidationProblem("spec.value", "Secret value is required")
    elif len(value.encode("utf-8", "replace")) > LONGEST_VALUE:
        yield ValidationProblem("spec.value", "Secret value must be less than 10KB")


def _display_name_problems(name: str) -> Iterator[ValidationProblem]:
    field = "spec.displayName"
    if not name:
        yield ValidationProblem(field, "Secret displayName is required")
    elif len(name) > _LONGEST_DISPLAY_NAME:
        yield ValidationProblem(field, f"Secret displayName must be 1-{_LONGEST_DISPLAY_NAME} characters")
    elif not _DISPLAY_NAME.fullmatch(name):
        yield ValidationProblem(
            field,
            "Secret displayName must be URL-friendly"
            " (only letters, numbers, spaces, hyphens, underscores, and dots allowed)",
        )


SECRET = DocumentKind(
    kind=KIND,
    type_name="SecretConfiguration",
    shape=SHAPE,
    problems=_problems,
    policies=lambda _document, _catalogue: iter(()),
    references=lambda _document: (),
)
