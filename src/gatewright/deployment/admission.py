"""What can be said of a document before it is checked, and how its problems are told to a control plane. Pure."""

from collections.abc import Mapping
from typing import Any

from gatewright.artifacts.metadata import ARTIFACT_ID_ANNOTATION
from gatewright.artifacts.problems import InvalidArtifact
from gatewright.artifacts.templates import TemplateError
from gatewright.deployment.ids import canonical_uuid, usable_id
from gatewright.deployment.results import InvalidPin, RefusalCode, Refused

_FEW_OPERATIONS = 100


def inadmissible(cp_id: str, deployment_id: str, kind: str, *, known: bool) -> Refused | None:
    """What can be said of a deployment without reading its document."""
    if not deployment_id:
        return Refused("MISSING_DEPLOYMENT_ID", "a deployment of a control plane needs a deployment id")
    if not usable_id(cp_id):
        return Refused("INVALID_DOCUMENT", "the artifact id must be 1 to 64 visible ASCII characters")
    if not known:
        return Refused("UNSUPPORTED_KIND", f"artifacts of kind {kind!r} are not deployed by this gateway")
    return None


def pin(document: Mapping[str, Any]) -> str | None:
    """The UUID that the author asks for. Raises InvalidPin."""
    metadata = document.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    text = annotations.get(ARTIFACT_ID_ANNOTATION) if isinstance(annotations, Mapping) else None
    if not text:
        return None
    uuid = canonical_uuid(str(text))
    if uuid is None:
        raise InvalidPin(f"the annotation {ARTIFACT_ID_ANNOTATION} must be a UUID")
    return uuid


def handle(document: Mapping[str, Any]) -> str:
    """`metadata.name`, empty when there is none."""
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return name if isinstance(name, str) else ""


def is_small(document: Mapping[str, Any]) -> bool:
    """Whether checking it takes too little time to be worth a thread."""
    spec = document.get("spec")
    operations = spec.get("operations") if isinstance(spec, Mapping) else None
    return not isinstance(operations, list | tuple) or len(operations) <= _FEW_OPERATIONS


def refused(problem: InvalidArtifact) -> Refused:
    """A document's problems as the answer to a deployment."""
    code: RefusalCode = "RENDERING_FAILED" if isinstance(problem, TemplateError) else "INVALID_DOCUMENT"
    return Refused(code, str(problem), problem.problems)
