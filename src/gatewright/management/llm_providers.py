"""`/llm-providers`. Source: management API reference, section 10; conflicts are answered 400, as the original does."""

from collections.abc import Mapping
from typing import ClassVar

from starlette.responses import Response

from gatewright.artifacts.document_kinds import InvalidPolicies
from gatewright.artifacts.llm_provider import PROVIDER
from gatewright.artifacts.problems import InvalidArtifact, MalformedDocument
from gatewright.artifacts.templates import TemplateError
from gatewright.deployment.results import DeploymentError, InUse, NotFound, UnknownReference
from gatewright.management.artifact_collection import (
    ADMINS,
    FILTERS,
    ArtifactCollection,
    Step,
    flattened,
)
from gatewright.management.bodies import failure


class LlmProviders(ArtifactCollection):
    """Endpoints of LLM providers; developers may look at them."""

    described = PROVIDER
    collection = "llm-providers"
    member = "providers"
    deleted = "LLM provider deleted successfully"
    writers = ADMINS
    filters = FILTERS | {"vhost"}
    unavailable: ClassVar[Mapping[Step, str]] = {
        "create": "failed to save or update LLM provider configuration",
        "list": "Failed to get stored LLM provider configuration",
        "read": "Failed to look up LLM provider",
        "update": "failed to save or update LLM provider configuration",
        "delete": "Failed to delete LLM provider configuration",
    }

    def invalid(self, error: InvalidArtifact, step: Step) -> Response:
        """See ArtifactCollection."""
        del step
        count, problems = len(error.problems), flattened(error.problems)
        match error:
            case MalformedDocument(message=message):
                text = f"failed to parse provider configuration: {message}"
            case TemplateError(message=message):
                text = message
            case InvalidPolicies():
                text = f"provider policy validation failed with {count} error(s): {problems}"
            case _:
                text = f"provider validation failed with {count} error(s): {problems}"
        return failure(400, text)

    def refused(self, error: DeploymentError, step: Step, handle: str) -> Response:
        """See ArtifactCollection."""
        match error:
            case UnknownReference(handle=template):
                return failure(
                    400,
                    "failed to transform LLM provider to API configuration: failed to retrieve template"
                    f" '{template}': configuration not found: handle={template}",
                )
            case NotFound():
                return _missing(step, handle)
            case InUse() if step == "delete":
                return failure(500, error.message)  # MG-104
        return failure(400, error.message)


def _missing(step: Step, handle: str) -> Response:
    if step == "update":
        return failure(400, f"failed to look up LLM provider: configuration not found: handle={handle}")
    if step == "delete":
        return failure(404, f"failed to delete LLM provider: configuration not found: handle={handle}")
    return failure(404, f"LLM provider configuration with handle '{handle}' not found")
