"""The artifacts of an immutable gateway: read from files at the start, and nowhere else.

Any fault ends the start: a gateway that serves a part of what was shipped is worse than one that does not come up and
says why. Source: deployment and configuration reference 8.4, management API reference 22.
"""

import asyncio
from pathlib import Path
from typing import Any, Final

import msgspec

from gatewright.artifacts.document_kinds import parse_kind
from gatewright.artifacts.parsing import JSON_TYPE, parse_document
from gatewright.artifacts.problems import InvalidArtifact
from gatewright.artifacts.restapi_validation import parse_restapi
from gatewright.artifacts.templates import TemplateError
from gatewright.deployment.deployments import Deployments
from gatewright.deployment.document_rules import KINDS
from gatewright.deployment.results import DeploymentError
from gatewright.observability.logging import get_logger
from gatewright.store import StoreUnavailable

ACTOR: Final = "immutable-gateway"
ORDER: Final = ("LlmProviderTemplate", "LlmProvider", "RestApi", "LlmProxy", "Mcp")
"""What others refer to comes first."""

_TYPES: Final = {".yaml": "application/yaml", ".yml": "application/yaml", ".json": JSON_TYPE}
_log = get_logger(__name__)


class ArtifactsUnusable(Exception):
    """One line for each file that cannot be used."""


class _File(msgspec.Struct, frozen=True):
    path: Path
    kind: str
    document: dict[str, Any]


async def deploy_files(deployments: Deployments, folder: Path) -> int:
    """Deploy everything below `folder`; how much there was. Raises ArtifactsUnusable with all faults."""
    faults: list[str] = []
    files = await asyncio.to_thread(_read, folder, faults)
    for file in sorted(files, key=lambda file: (ORDER.index(file.kind), file.path)):
        try:
            await deployments.create(file.kind, file.document, correlation_id=str(file.path.name), actor=ACTOR)
        except (InvalidArtifact, TemplateError, DeploymentError, StoreUnavailable) as problem:
            faults.append(f"{file.path}: {problem}")
    if faults:
        raise ArtifactsUnusable(
            f"the artifacts of the immutable gateway in {folder} cannot be used; correct or remove these files:\n  "
            + "\n  ".join(faults)
        )
    _log.info("the artifacts of the immutable gateway are deployed", artifacts=len(files), folder=str(folder))
    return len(files)


def _read(folder: Path, faults: list[str]) -> list[_File]:
    """All documents. A folder that is missing is a fault too: an empty gateway would be the surprise."""
    if not folder.is_dir():
        faults.append(f"{folder} is no folder; set immutable_gateway.artifacts_dir")
        return []
    found: list[_File] = []
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or path.suffix.lower() not in _TYPES or not path.is_file():
            continue
        try:
            found.append(_parsed(path))
        except OSError as problem:
            faults.append(f"{path}: {problem.strerror}")
        except (InvalidArtifact, ValueError) as problem:
            faults.append(f"{path}: {problem}")
    return found


def _parsed(path: Path) -> _File:
    """Raises OSError, InvalidArtifact, ValueError."""
    body, content_type = path.read_bytes(), _TYPES[path.suffix.lower()]
    kind = parse_document(body, content_type).get("kind")
    if kind == "RestApi":
        return _File(path, kind, parse_restapi(body, content_type))
    if kind in KINDS:
        return _File(path, str(kind), parse_kind(body, content_type, KINDS[str(kind)]))
    raise ValueError(f"kind {kind!r} is none of {', '.join(ORDER)}" if kind else "the document has no kind")
