"""The registry of this process's metrics, and its exposition.

A room declares its metrics next to the code that moves them, with the ordinary prometheus_client classes and
`registry=REGISTRY`. Nothing uses the library's global registry, so an application that embeds Gatewright keeps its
own metrics apart. Label values must come from a bounded set; never a path, a key or an id from outside.
"""

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

REGISTRY = CollectorRegistry(auto_describe=True)

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)


def exposition(accept: str = "", registry: CollectorRegistry = REGISTRY) -> tuple[bytes, str]:
    """All metrics and their content type, in the format that the scraper's `Accept` header asks for."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
