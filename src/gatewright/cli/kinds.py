"""Kinds of documents that the management API takes, and how people name them. Pure."""

from dataclasses import dataclass
from typing import Final

from gatewright.cli.exits import Exit, Failure


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: `kind` of the document, its collection in paths, the member of its lists, names people type.

    `plural` is what texts call several of them.
    """

    kind: str
    collection: str
    listed: str
    names: tuple[str, ...]
    plural: str


REST_API: Final = Kind(
    "RestApi", "rest-apis", "apis", ("rest-apis", "rest-api", "restapi", "restapis", "apis", "api"), "REST APIs"
)
API_KEYS: Final = ("api-keys", "api-key", "keys")
TEMPLATE: Final = Kind(
    "LlmProviderTemplate",
    "llm-provider-templates",
    "templates",
    ("llm-provider-templates", "llm-provider-template", "llmprovidertemplate", "llm-templates", "llm-template"),
    "LLM provider templates",
)
PROVIDER: Final = Kind(
    "LlmProvider",
    "llm-providers",
    "providers",
    ("llm-providers", "llm-provider", "llmprovider", "llmproviders"),
    "LLM providers",
)
PROXY: Final = Kind(
    "LlmProxy", "llm-proxies", "proxies", ("llm-proxies", "llm-proxy", "llmproxy", "llmproxies"), "LLM proxies"
)
MCP: Final = Kind("Mcp", "mcp-proxies", "mcpProxies", ("mcp-proxies", "mcp-proxy", "mcp", "mcps"), "MCP proxies")
SECRET: Final = Kind("Secret", "secrets", "secrets", ("secrets", "secret"), "secrets")
KINDS: Final = (SECRET, TEMPLATE, PROVIDER, REST_API, PROXY, MCP)
"""What others refer to comes first: documents are applied in this order and deleted in the reverse."""
NAMES: Final = ", ".join(known.names[0] for known in KINDS) + ", or api-keys."
"""For help texts."""


def of_document(kind: str, source: str) -> Kind:
    """The kind of a document. Raises Failure."""
    for known in KINDS:
        if known.kind == kind:
            return known
    names = ", ".join(known.kind for known in KINDS)
    raise Failure(f"{source}: documents of kind {kind} cannot be applied", code=Exit.USAGE, remedy=f"known: {names}")


def rank(kind: str) -> int:
    """The place of a kind in `KINDS`; unknown ones come last."""
    return next((place for place, known in enumerate(KINDS) if known.kind == kind), len(KINDS))


def of_name(name: str) -> Kind:
    """The kind that a person means. Raises Failure."""
    for known in KINDS:
        if name.lower() in known.names:
            return known
    names = ", ".join(known.names[0] for known in KINDS)
    raise Failure(f"there is no kind of resource named {name}", code=Exit.USAGE, remedy=f"known: {names}")
