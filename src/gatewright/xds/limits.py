"""Bounds of one stream: sizes in bytes, times in seconds. Pure data."""

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """`warm_wait_s` is the most that one slow cluster can delay the routes of other clusters.

    `response_bytes`: size of one response, unless a single resource is larger. `first_scopes_bytes`: the same for the
    first scopes of a router, which should arrive in one piece: its listener opens with them. `removals`: names in one
    response. `outstanding`: responses of one type without an answer. `patience_s`: after so long the next response is
    sent although the one before has no answer; Envoy withholds all answers about clusters while one of them warms.
    `warm_wait_s`: how long a route waits for the answer about its cluster. `presume_s`: the same for a cluster that
    needs nothing to warm up. `known_warm_wait_s`: the same when the router says that exactly this cluster is still
    warming. `settling_s`: scopes are not removed so shortly after a change of listeners. `claims_grace_s`: how long a
    router that reconnects may take to say what it holds, before clusters are removed. `retry_first_s`, `retry_max_s`:
    waits before a version is tried again that failed for a passing reason.
    """

    response_bytes: int = 4 << 20
    first_scopes_bytes: int = 32 << 20
    removals: int = 5_000
    outstanding: int = 64
    patience_s: float = 0.1
    warm_wait_s: float = 1.0
    presume_s: float = 0.3
    known_warm_wait_s: float = 10.0
    settling_s: float = 1.0
    claims_grace_s: float = 5.0
    retry_first_s: float = 1.0
    retry_max_s: float = 30.0
    curiosity: int = 50
