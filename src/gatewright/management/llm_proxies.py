"""`/llm-proxies`. Source: management API reference, section 11.

On PUT the original answers 500 to conflicts and unreadable bodies, and operators know its text; here the reason follows
that text.
"""

from collections.abc import Mapping
from typing import ClassVar

from starlette.responses import Response

from gatewright.artifacts.document_kinds import InvalidPolicies
from gatewright.artifacts.llm_proxy import PROXY
from gatewright.artifacts.problems import InvalidArtifact, MalformedDocument
from gatewright.artifacts.templates import TemplateError
from gatewright.deployment.results import DeploymentError, NotFound, UnknownReference
from gatewright.management.artifact_collection import FILTERS, ArtifactCollection, Step, flattened
from gatewright.management.bodies import failure

_UPDATE_FAILED = "Failed to update LLM proxy configuration"


class LlmProxies(ArtifactCollection):
    """Endpoints of LLM proxies."""

    described = PROXY
    collection = "llm-proxies"
    member = "proxies"
    deleted = "LLM proxy deleted successfully"
    filters = FILTERS | {"vhost"}
    unavailable: ClassVar[Mapping[Step, str]] = {
        "create": "Failed to create LLM proxy",
        "list": "Failed to get stored LLM proxy configuration",
        "read": "Failed to look up LLM proxy",
        "update": _UPDATE_FAILED,
        "delete": "Failed to delete LLM proxy configuration",
    }

    def invalid(self, error: InvalidArtifact, step: Step) -> Response:
        """See ArtifactCollection."""
        count, problems = len(error.problems), flattened(error.problems)
        match error:
            case MalformedDocument(message=message):
                reason = f"failed to parse proxy configuration: {message}"
                if step == "update":
                    return failure(500, f"{_UPDATE_FAILED}: {reason}")
            case TemplateError(message=message):
                return failure(400, message)
            case InvalidPolicies():
                reason = f"{count} policy error(s): {problems}"
            case _:
                reason = f"{count} error(s): {problems}"
        return failure(400, f"proxy configuration invalid: {reason}")

    def refused(self, error: DeploymentError, step: Step, handle: str) -> Response:
        """See ArtifactCollection."""
        if isinstance(error, UnknownReference):
            # Operators try again unless the text says "with handle".
            return failure(404, f"LLM proxy configuration not found: {error.message}")
        if isinstance(error, NotFound):
            return failure(404, f"LLM proxy configuration with handle '{handle}' not found")
        if step == "update":
            return failure(500, f"{_UPDATE_FAILED}: {error.message}")
        return failure(409, error.message)
