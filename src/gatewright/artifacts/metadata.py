"""`metadata`: handle, labels, annotations. One typed form for all kinds, and the rules the kinds share.

Pure. Source: management API reference, section 6.1.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gatewright.artifacts.problems import ValidationProblem

ARTIFACT_ID_ANNOTATION = "gateway.api-platform.wso2.com/artifact-id"
PROJECT_ID_ANNOTATION = "gateway.api-platform.wso2.com/project-id"
PROJECT_ID_LABEL = "project-id"

_BAD_HANDLE_CHARACTER = re.compile(r"[\s/}\x00-\x1f\x7f]")
_WHITESPACE = re.compile(r"\s")


class Metadata(msgspec.Struct, frozen=True):
    """Identity of an artifact as its author wrote it. `name` is the handle."""

    name: str
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def artifact_id(self) -> str | None:
        """The UUID the author asks for, unchecked, or None."""
        return self.annotations.get(ARTIFACT_ID_ANNOTATION) or None

    @property
    def project_id(self) -> str | None:
        """Project handle on the control plane: the annotation, else the deprecated label, else None."""
        return self.annotations.get(PROJECT_ID_ANNOTATION) or self.labels.get(PROJECT_ID_LABEL) or None


def read_metadata(document: Mapping[str, Any]) -> Metadata:
    """Type the `metadata` of a shaped document."""
    raw = document.get("metadata") or {}
    return Metadata(
        name=raw.get("name", ""),
        labels=dict(raw.get("labels") or {}),
        annotations=dict(raw.get("annotations") or {}),
    )


def metadata_problems(document: Mapping[str, Any]) -> Iterator[ValidationProblem]:
    """The rules of RestApi, Mcp and Secret; a missing name hides label problems, as in the original."""
    metadata = read_metadata(document)
    if not metadata.name:
        yield ValidationProblem("metadata.name", "Metadata name is required")
        return
    if _BAD_HANDLE_CHARACTER.search(metadata.name):
        yield ValidationProblem(
            "metadata.name",
            "metadata.name must not contain whitespace, '/', '}', or control characters",
        )
    yield from label_problems(metadata.labels)


def label_problems(labels: Mapping[str, str]) -> Iterator[ValidationProblem]:
    """Keys that are empty or hold white space, in the document's order (the original's order is random)."""
    for key in labels:
        if not key or _WHITESPACE.search(key):
            yield ValidationProblem(
                "metadata.labels",
                f"Label key '{key}' contains whitespace characters. Label keys must not contain any whitespace.",
            )
