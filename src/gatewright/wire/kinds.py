"""The kinds of artifacts as the protocol names them: in documents, paths, events, acknowledgements and archives."""

import enum
from typing import Final

import msgspec


class ArtifactKind(enum.StrEnum):
    """`kind` of a document, of a deployment row and of a pushed entry."""

    REST_API = "RestApi"
    LLM_PROVIDER_TEMPLATE = "LlmProviderTemplate"
    LLM_PROVIDER = "LlmProvider"
    LLM_PROXY = "LlmProxy"
    MCP = "Mcp"
    WEBSUB_API = "WebSubApi"
    WEBBROKER_API = "WebBrokerApi"


class KindNames(msgspec.Struct, frozen=True):
    """What one kind is called where. Empty: the protocol has no such thing for the kind.

    `collection` is the path segment of definition downloads and key lists, `event` the prefix of event types, `ack`
    the `resourceType` of acknowledgements, `entry` the prefix of archive entries, `label` what error texts say,
    `push_rank` the order of pushed entries.
    """

    collection: str
    event: str
    ack: str
    entry: str
    label: str
    push_rank: int


NAMES: Final[dict[ArtifactKind, KindNames]] = {
    ArtifactKind.LLM_PROVIDER_TEMPLATE: KindNames("", "", "", "", "LLM provider template", 0),
    ArtifactKind.LLM_PROVIDER: KindNames(
        "llm-providers", "llmprovider", "llmprovider", "llm-provider", "LLM provider", 1
    ),
    ArtifactKind.LLM_PROXY: KindNames("llm-proxies", "llmproxy", "llmproxy", "llm-proxy", "LLM proxy", 2),
    ArtifactKind.MCP: KindNames("mcp-proxies", "mcpproxy", "mcpproxy", "mcp-proxy", "MCP proxy", 3),
    ArtifactKind.REST_API: KindNames("apis", "api", "api", "api", "API", 4),
    ArtifactKind.WEBSUB_API: KindNames("websub-apis", "websub", "websub", "websub-api", "WebSub API", 5),
    ArtifactKind.WEBBROKER_API: KindNames(
        "webbroker-apis", "webbroker", "webbroker", "webbroker-api", "WebBroker API", 6
    ),
}

KEY_SYNC_ORDER: Final = (
    ArtifactKind.REST_API,
    ArtifactKind.WEBSUB_API,
    ArtifactKind.WEBBROKER_API,
    ArtifactKind.LLM_PROVIDER,
    ArtifactKind.LLM_PROXY,
)
"""Kinds whose API keys are listed at every connect, in this order; there is no list for MCP proxies."""

FETCH_ORDER: Final = (ArtifactKind.LLM_PROVIDER, ArtifactKind.LLM_PROXY, ArtifactKind.REST_API, ArtifactKind.MCP)
"""Order in which a full sync fetches, so that what is referenced comes first."""

DELETE_ORDER: Final = (ArtifactKind.MCP, ArtifactKind.REST_API, ArtifactKind.LLM_PROXY, ArtifactKind.LLM_PROVIDER)
"""Order in which a full sync deletes, so that what refers goes first."""

PROJECT_ANNOTATION: Final = "gateway.api-platform.wso2.com/project-id"
PROJECT_LABEL: Final = "project-id"
"""Deprecated spelling; the annotation wins."""
ARTIFACT_ID_ANNOTATION: Final = "gateway.api-platform.wso2.com/artifact-id"


def kind_of(name: str) -> ArtifactKind | None:
    """The kind called `name`, or None for one that this protocol does not know."""
    try:
        return ArtifactKind(name)
    except ValueError:
        return None


def needs_project(kind: ArtifactKind) -> bool:
    """True for kinds that belong to a project; providers and templates belong to the organisation."""
    return kind not in {ArtifactKind.LLM_PROVIDER, ArtifactKind.LLM_PROVIDER_TEMPLATE}
