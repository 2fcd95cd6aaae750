"""Upstreams: the places requests are sent to."""

import msgspec


class Endpoint(msgspec.Struct, frozen=True):
    """A host (name or IP literal without brackets) and port. `weight` None means the balancer's default."""

    host: str
    port: int
    weight: int | None = None


class Upstream(msgspec.Struct, frozen=True):
    """A set of equal endpoints. `name` derives from the content, so that APIs with equal upstreams share it."""

    name: str
    endpoints: tuple[Endpoint, ...]
    tls: bool
    connect_timeout_ms: int
