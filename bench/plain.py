"""The yardsticks: what a person would write by hand for Envoy. Pure.

`same_api` does for clients what the gateway's route does: the same eight operations, by method and path template, with
the context taken off. `one_prefix` is the shortest configuration there is: everything below the context goes through.
"""

import re
from collections.abc import Sequence
from typing import Any

from bench.documents import OPERATIONS
from bench.ports import HOST

_TYPES = "type.googleapis.com/envoy.extensions.filters"
_PARAMETER = re.compile(r"\{[^}]*\}")


def same_api(port: int, backend_port: int, context: str) -> dict[str, Any]:
    """One listener with a route for each operation. No access log, no admin interface."""
    return _configuration(port, backend_port, [_operation(context, method, path) for method, path in OPERATIONS])


def one_prefix(port: int, backend_port: int, context: str) -> dict[str, Any]:
    """The same with a single route."""
    action = {"cluster": "backend", "prefix_rewrite": "/", "timeout": "60s"}
    return _configuration(port, backend_port, [{"match": {"prefix": f"{context}/"}, "route": action}])


def _operation(context: str, method: str, path: str) -> dict[str, Any]:
    match: dict[str, Any] = {"headers": [{"name": ":method", "string_match": {"exact": method}}]}
    action: dict[str, Any] = {"cluster": "backend", "timeout": "60s"}
    if _PARAMETER.search(path):
        match["safe_regex"] = {"regex": f"^{context}{_PARAMETER.sub('[^/]+', path)}$"}
        action["regex_rewrite"] = {"pattern": {"regex": f"^{context}"}, "substitution": ""}
    else:
        match["path"] = context + path
        action["prefix_rewrite"] = path
    return {"match": match, "route": action}


def _configuration(port: int, backend_port: int, routes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    manager = {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": list(routes)}]},
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPES}.http.router.v3.Router"}}
        ],
    }
    listener = {
        "name": "http",
        "address": _address(port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    cluster = {
        "name": "backend",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": "backend",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(backend_port)}}]}],
        },
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": HOST, "port_value": port}}
