"""Envoy's bootstrap: who it is, where its configuration comes from, and what it must not do. Pure.

Everything that changes comes over delta ADS from the relay's socket. Statistics are kept to what is read: with
thousands of APIs the default would be millions of series.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

NODE_CLUSTER = "gateway-cluster"
XDS_CLUSTER = "gatewright_xds"
ENGINE_CLUSTER = "gatewright_engine"
DOWNSTREAM_CONNECTIONS = 50_000
HEALTH_INTERVAL_MS = 1000

KEPT_STATISTICS = (
    "server.",
    "cluster_manager.",
    "listener_manager.",
    "http.http.downstream_rq",
    "http.http.downstream_cx",
    "http.http.rds",
    "http.http.scoped_rds",
    "http.http.no_route",
    "listener.",
    "control_plane.",
)


class BootstrapInput(msgspec.Struct, frozen=True, kw_only=True):
    """`admin_address` (host, port) opens Envoy's admin on TCP; else it is on the Unix socket `admin_socket`."""

    node_id: str
    xds_socket: Path
    engine_socket: Path
    admin_socket: Path
    admin_address: tuple[str, int] | None = None
    re2_max_program_size: int = 400


def bootstrap(wanted: BootstrapInput) -> bytes:
    """The bootstrap as JSON."""
    return json.dumps(_document(wanted), indent=1).encode()


def _document(wanted: BootstrapInput) -> dict[str, Any]:
    return {
        "node": {"id": wanted.node_id, "cluster": NODE_CLUSTER},
        "admin": _admin(wanted),
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": XDS_CLUSTER}}],
            },
            "cds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
            "lds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
        },
        "static_resources": {
            "clusters": [
                _pipe_cluster(XDS_CLUSTER, wanted.xds_socket),
                _pipe_cluster(ENGINE_CLUSTER, wanted.engine_socket),
            ]
        },
        "stats_config": {
            "stats_matcher": {"inclusion_list": {"patterns": [{"prefix": prefix} for prefix in KEPT_STATISTICS]}}
        },
        "layered_runtime": {
            "layers": [
                {
                    "name": "gatewright",
                    "static_layer": {
                        "re2.max_program_size.error_level": wanted.re2_max_program_size,
                        "re2.max_program_size.warn_level": wanted.re2_max_program_size,
                    },
                }
            ]
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.resource_monitors."
                        "downstream_connections.v3.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": DOWNSTREAM_CONNECTIONS,
                    },
                }
            ]
        },
    }


def _admin(wanted: BootstrapInput) -> dict[str, Any]:
    if wanted.admin_address is not None:
        host, port = wanted.admin_address
        return {"address": {"socket_address": {"address": host, "port_value": port}}}
    return {"address": {"pipe": {"path": str(wanted.admin_socket), "mode": 0o600}}}


def _pipe_cluster(name: str, socket: Path) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
    protocol = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": protocol,
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
