"""The LLM provider templates that a gateway brings along: read from files, stored at every start.

A folder of the operator (`controller.llm.template_definitions_path`) takes the place of the files in this package.
Source: management API reference, section 9.3.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from gatewright.artifacts.document_kinds import parse_kind
from gatewright.artifacts.llm_template import KIND, TEMPLATE
from gatewright.artifacts.problems import InvalidArtifact
from gatewright.deployment.deployments import Deployments
from gatewright.deployment.results import Conflict, DeploymentError, NotFound
from gatewright.observability.logging import get_logger
from gatewright.store import StoreUnavailable

PACKAGED: Final = Path(__file__).parent / "llm_templates"
_TYPES: Final = {".yaml": "application/yaml", ".yml": "application/yaml", ".json": "application/json"}
_log = get_logger(__name__)


def template_folder(configured: str) -> Path:
    """The configured folder when it is there, else the one of this package."""
    folder = Path(configured) if configured else PACKAGED
    return folder if folder.is_dir() else PACKAGED


async def install_templates(deployments: Deployments, folder: Path) -> int:
    """Store what differs; how many were written. A bad file, or a database that is away, is logged and passed over."""
    files = await asyncio.to_thread(_read, folder)
    results = await asyncio.gather(*(_install(deployments, path, body) for path, body in files))
    written = sum(results)
    if written:
        _log.info("LLM provider templates are installed", written=written, folder=str(folder))
    return written


async def _install(deployments: Deployments, path: Path, body: bytes) -> bool:
    try:
        document = parse_kind(body, _TYPES[path.suffix.lower()], TEMPLATE)
        try:
            return await deployments.install(KIND, document) is not None
        except (Conflict, NotFound):
            # Another controller on the same database does the same at the same moment.
            return await deployments.install(KIND, document) is not None
    except (InvalidArtifact, DeploymentError, StoreUnavailable) as problem:
        _log.error("an LLM provider template cannot be installed", file=str(path), error=str(problem))
        return False


def _read(folder: Path) -> Iterable[tuple[Path, bytes]]:
    found: list[tuple[Path, bytes]] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _TYPES and not path.name.startswith(".") and path.is_file():
            try:
                found.append((path, path.read_bytes()))
            except OSError as problem:
                _log.error("an LLM provider template cannot be read", file=str(path), error=problem.strerror)
    return found
