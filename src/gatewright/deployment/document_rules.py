"""LlmProviderTemplate, LlmProvider, LlmProxy and Mcp on the write path: validated and stored, without traffic so far.

Pure. Their rules are in `gatewright.artifacts`; what is left for here is what differs when they are written.
"""

from collections.abc import Mapping
from typing import Any

from gatewright.artifacts import llm_template
from gatewright.artifacts.credentials import inherited
from gatewright.artifacts.document_kinds import DocumentKind, read_shape, validate
from gatewright.artifacts.llm_provider import PROVIDER
from gatewright.artifacts.llm_proxy import PROXY
from gatewright.artifacts.llm_template import TEMPLATE
from gatewright.artifacts.mcp import MCP
from gatewright.artifacts.policies import PolicyCatalogue
from gatewright.artifacts.restapi_rules import resolve_version
from gatewright.artifacts.templates import Renderer
from gatewright.deployment.kinds import NoTraffic, Prepared, Traits

KINDS: dict[str, DocumentKind] = {kind.kind: kind for kind in (TEMPLATE, PROVIDER, PROXY, MCP)}


class DocumentRules:
    """One of `KINDS`, with everything but a compiler."""

    def __init__(self, described: DocumentKind, *, catalogue: PolicyCatalogue, renderer: Renderer) -> None:
        self._described = described
        self._catalogue = catalogue
        self._renderer = renderer
        self.kind = described.kind
        self.traits = Traits(inherits=True, credentials=described.credentials)

    def prepare(
        self, document: Mapping[str, Any], *, freeze_defaults: bool, replaces: Mapping[str, Any] | None = None
    ) -> Prepared:
        """See KindRules."""
        del freeze_defaults
        if replaces is not None and self.traits.credentials:
            document = inherited(read_shape(document, self._described), replaces, self.traits.credentials)
        valid = validate(document, self._described, catalogue=self._catalogue, renderer=self._renderer)
        if replaces is not None and self.kind == llm_template.KIND:
            llm_template.check_replacement(valid.document, replaces)
        spec = valid.document["spec"]
        handle = valid.document["metadata"]["name"]
        return Prepared(
            document=valid.document,
            handle=handle,
            # Templates are unique by handle alone. The name of the others is the unrendered text (section 6.4).
            display_name=handle if self.kind == llm_template.KIND else spec["displayName"],
            version=spec.get("version", ""),
            undeployed=valid.rendered["spec"].get("deploymentState", "") == "undeployed",
            references=self._described.references(valid.rendered),
        )

    def compile(self, document: Mapping[str, Any], api_id: str) -> NoTraffic:
        """See KindRules."""
        del document, api_id
        if self.kind == llm_template.KIND:
            return NoTraffic("NO_TRAFFIC", "a template describes LLMs and takes no requests")
        return NoTraffic("NO_TRAFFIC_YET", f"this release stores artifacts of kind {self.kind} but does not serve them")

    def context(self, document: Mapping[str, Any]) -> str:
        """See KindRules: only Mcp resolves `$version`."""
        spec = document.get("spec") or {}
        context = str(spec.get("context", ""))
        return resolve_version(context, str(spec.get("version", ""))) if self.kind == MCP.kind else context


def document_rules(*, catalogue: PolicyCatalogue, renderer: Renderer) -> list[DocumentRules]:
    """The rules of all `KINDS`."""
    return [DocumentRules(described, catalogue=catalogue, renderer=renderer) for described in KINDS.values()]
