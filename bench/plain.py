"""The yardstick: the shortest Envoy configuration that a person would write by hand to proxy one API."""

from typing import Any

from bench.ports import HOST

_TYPES = "type.googleapis.com/envoy.extensions.filters"


def configuration(port: int, backend_port: int, context: str) -> dict[str, Any]:
    """One listener, one route that takes `context` off the path, one cluster. No access log, no admin interface."""
    route = {
        "match": {"prefix": f"{context}/"},
        "route": {"cluster": "backend", "prefix_rewrite": "/", "timeout": "60s"},
    }
    manager = {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
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
