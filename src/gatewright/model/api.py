"""One API as one unit: its routes, the upstreams they use, and its identity."""

import msgspec

from gatewright.model.routes import Route
from gatewright.model.upstreams import Upstream


class Api(msgspec.Struct, frozen=True):
    """A compiled artifact. `api_id` is the artifact's local UUID; `content_hash` identifies the compiled content."""

    api_id: str
    kind: str
    handle: str
    display_name: str
    version: str
    context: str
    routes: tuple[Route, ...]
    upstreams: tuple[Upstream, ...]
    content_hash: str
