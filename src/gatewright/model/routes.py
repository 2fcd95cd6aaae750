"""Routes: what a request must look like, where it goes, and what happens to it on the way."""

from typing import Any, Literal

import msgspec


class PathMatch(msgspec.Struct, frozen=True):
    """How a request path is matched, after normalisation and without the query string.

    `exact` compares the complete path; `regex` is an RE2 expression that must match the complete path.
    """

    kind: Literal["exact", "regex"]
    value: str


class HeaderMatch(msgspec.Struct, frozen=True):
    """A condition on one request header. `name` is lower case; `regex` must match the complete value."""

    name: str
    kind: Literal["exact", "regex"]
    value: str


class Rewrite(msgspec.Struct, frozen=True):
    """Path towards the upstream: RE2 `pattern` replaced by `substitution` (with \\1 groups); query untouched."""

    pattern: str
    substitution: str


class PolicyUse(msgspec.Struct, frozen=True):
    """One policy on a route, in the order of execution: resolved name and version (`v1.2.1`), final parameters."""

    name: str
    version: str
    params: dict[str, Any]
    condition: str | None = None


class Route(msgspec.Struct, frozen=True):
    """One operation of one API on one virtual host.

    `name` is the stable key `METHOD|fullPath|vhost[|discriminator]`. `rank` sorts routes of a virtual host: smaller
    tuples are tried first. `first_segment` is the literal first path segment, or None when it holds a parameter or a
    wildcard and the route may match any first segment. Timeouts in milliseconds; None leaves the router's default,
    0 switches the timeout off.
    """

    name: str
    api_id: str
    vhost: str
    method: str
    operation_path: str
    path: PathMatch
    headers: tuple[HeaderMatch, ...]
    rank: tuple[Any, ...]
    first_segment: str | None
    rewrite: Rewrite
    upstream: str
    host_rewrite: Literal["auto", "manual"] = "auto"
    timeout_ms: int | None = None
    idle_timeout_ms: int | None = None
    policies: tuple[PolicyUse, ...] = ()
