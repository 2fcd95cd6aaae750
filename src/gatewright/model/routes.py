"""Routes: what a request must look like, where it goes, and what happens to it on the way."""

from typing import Any, Literal

import msgspec


class PathMatch(msgspec.Struct, frozen=True):
    """How a request path is matched, after normalisation and without the query string. Always case-sensitive.

    `exact`: the path equals `value`. `slash`: the same, one trailing slash allowed. `subtree`: the path is `value` or
    lies below it (`value` "" is every path). `regex`: the RE2 expression `value` matches the complete path.
    `literal` is the longest beginning made of whole literal segments (`/a/b` of `/a/b/{c}`, "" for none): no path that
    lies elsewhere can match.
    """

    kind: Literal["exact", "slash", "subtree", "regex"]
    value: str
    literal: str = ""


class HeaderMatch(msgspec.Struct, frozen=True):
    """A condition on one request header. `name` is lower case; `regex` must match the complete value."""

    name: str
    kind: Literal["exact", "regex"]
    value: str


class Rewrite(msgspec.Struct, frozen=True):
    """Path towards the upstream; the query string is never touched. `context` and `base` have no trailing slash.

    `keep`: `context` at the beginning becomes `base`, the rest stays as it came. `rest`: the same with an empty base,
    where what is left is at least `/`. `root`: the whole path becomes `base` and a slash. `whole`: the whole path
    becomes `base`, or `/`.
    """

    kind: Literal["keep", "rest", "root", "whole"]
    context: str
    base: str


class PolicyUse(msgspec.Struct, frozen=True):
    """One policy on a route, in the order of execution: resolved name and version (`v1.2.1`), final parameters.

    `attached_to` says where the author wrote it.
    """

    name: str
    version: str
    params: dict[str, Any]
    condition: str | None = None
    attached_to: Literal["api", "route"] = "api"


Rank = tuple[int, tuple[tuple[int, int], ...], int, int, int]
"""Sort key of a route; exact, so that a model which was stored compares with one that was just made."""


class Route(msgspec.Struct, frozen=True):
    """One operation of one API on one virtual host.

    `name` is the stable key `METHOD|fullPath|vhost[|discriminator]`. `rank` sorts routes of a virtual host: smaller
    tuples are tried first. `first_segment` is the literal first path segment ("" for the path `/`), or None when it
    holds a parameter or a wildcard and the route may match any first segment. Timeouts in milliseconds; None leaves the
    router's default, 0 switches the timeout off.
    """

    name: str
    api_id: str
    vhost: str
    method: str
    operation_path: str
    path: PathMatch
    headers: tuple[HeaderMatch, ...]
    rank: Rank
    first_segment: str | None
    rewrite: Rewrite
    upstream: str
    host_rewrite: Literal["auto", "manual"] = "auto"
    timeout_ms: int | None = None
    idle_timeout_ms: int | None = None
    policies: tuple[PolicyUse, ...] = ()
