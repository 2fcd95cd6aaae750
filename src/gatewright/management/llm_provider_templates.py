"""`/llm-provider-templates`. Source: management API reference, section 9."""

from collections.abc import Mapping
from typing import Any, ClassVar

from starlette.responses import Response

from gatewright.artifacts.llm_template import TEMPLATE, FixedMember
from gatewright.artifacts.problems import InvalidArtifact, MalformedDocument
from gatewright.artifacts.templates import TemplateError
from gatewright.deployment.results import DeploymentError, NotFound
from gatewright.management.artifact_collection import ADMINS, ArtifactCollection, Step, flattened
from gatewright.management.bodies import failure
from gatewright.store.rows import ArtifactRow


class LlmProviderTemplates(ArtifactCollection):
    """Endpoints of templates, for administrators only."""

    described = TEMPLATE
    collection = "llm-provider-templates"
    member = "templates"
    deleted = "LLM provider template deleted successfully"
    readers = ADMINS
    writers = ADMINS
    filters = frozenset({"displayName", "name"})
    unavailable: ClassVar[Mapping[Step, str]] = {
        "create": "Failed to create LLM provider template",
        "list": "Failed to list LLM provider templates",
        "read": "Failed to get LLM provider template",
        "update": "Failed to update LLM provider template",
        "delete": "Failed to delete LLM provider template",
    }

    def invalid(self, error: InvalidArtifact, step: Step) -> Response:
        """See ArtifactCollection."""
        del step
        match error:
            case MalformedDocument(message=message):
                reason = f"failed to parse template configuration: {message}"
            case TemplateError(message=message):
                reason = "failed to render configuration: " + message.removeprefix("Failed to render configuration: ")
            case FixedMember(message=message):
                reason = message
            case _:
                reason = f"{len(error.problems)} error(s): {flattened(error.problems)}"
        return failure(400, f"template configuration invalid: {reason}")

    def refused(self, error: DeploymentError, step: Step, handle: str) -> Response:
        """See ArtifactCollection."""
        del step
        if isinstance(error, NotFound):
            return failure(404, f"Template with id '{handle}' not found")
        return failure(409, error.message)

    def _status(self, row: ArtifactRow) -> dict[str, Any]:
        """Templates are not deployed."""
        status = super()._status(row)
        return {name: status[name] for name in ("id", "createdAt", "updatedAt")}
