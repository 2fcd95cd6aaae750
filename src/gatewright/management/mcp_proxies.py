"""`/mcp-proxies`. Source: management API reference, section 12.

The original answers 404 to whatever goes wrong on PUT; here only an unknown proxy is 404.
"""

from collections.abc import Mapping
from typing import ClassVar

from starlette.responses import Response

from gatewright.artifacts.mcp import MCP
from gatewright.artifacts.problems import InvalidArtifact, MalformedDocument
from gatewright.artifacts.templates import TemplateError
from gatewright.deployment.results import DeploymentError, NotFound
from gatewright.management.artifact_collection import ArtifactCollection, Step, flattened
from gatewright.management.bodies import failure


class McpProxies(ArtifactCollection):
    """Endpoints of MCP proxies."""

    described = MCP
    collection = "mcp-proxies"
    member = "mcpProxies"
    deleted = "MCP proxy configuration deleted successfully"
    unavailable: ClassVar[Mapping[Step, str]] = {
        "create": "Failed to get stored MCP configuration",
        "list": "Failed to list MCP proxies",
        "read": "Failed to retrieve MCP proxy configuration",
        "update": "Failed to update MCP proxy configuration",
        "delete": "Failed to delete MCP proxy configuration",
    }

    def invalid(self, error: InvalidArtifact, step: Step) -> Response:
        """See ArtifactCollection."""
        del step
        match error:
            case MalformedDocument(message=message):
                text = f"failed to parse configuration: {message}"
            case TemplateError(message=message):
                text = message
            case _:
                count, problems = len(error.problems), flattened(error.problems)
                text = f"configuration validation failed with {count} error(s): {problems}"
        return failure(400, text)

    def refused(self, error: DeploymentError, step: Step, handle: str) -> Response:
        """See ArtifactCollection."""
        if isinstance(error, NotFound):
            subject = "MCP configuration" if step == "update" else "MCP proxy configuration"
            return failure(404, f"{subject} with handle '{handle}' not found")
        return failure(409, error.message)
