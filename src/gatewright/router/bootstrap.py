"""Envoy's start configuration: who it is, where its relay listens, what it counts. Everything else comes over xDS.

The configuration itself is a pure function; `write` puts it on disk for its owner only.
"""

import json
import os
from pathlib import Path
from typing import Any, Final

import msgspec

from gatewright.envoy.policies import ENGINE_CLUSTER

NODE_ID: Final = "router-node"
NODE_CLUSTER: Final = "gateway-cluster"
XDS_CLUSTER: Final = "xds_cluster"

_HTTP2: Final = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
}

_COUNTED: Final = (
    "server.",
    "listener_manager.",
    "cluster_manager.",
    "overload.",
    "control_plane.",
    "http.",
    "listener.",
)
"""Counters that do not multiply with the number of APIs; all of Envoy's would be millions. Only beginnings of names:
one expression among them would make Envoy compare the text of every name, 3 % of the cost of a request."""

_GIVE_BACK: Final = {"bytes_to_release": str(32 << 20), "memory_release_interval": "10s"}
"""Memory that a large configuration needed only while it arrived goes back to the system. Measured: done every second,
it would cost 4 % of the throughput."""


class Bootstrap(msgspec.Struct, frozen=True):
    """What goes into the configuration.

    `node_id` is unique for each router. `admin_tcp` (host and port) replaces the admin socket. `max_connections` from
    clients, above which new ones are closed.
    """

    node_id: str
    xds_socket: Path
    admin_socket: Path
    admin_tcp: tuple[str, int] | None = None
    engine_socket: Path | None = None
    re2_max_program_size: int = 400
    max_connections: int = 100_000


def configuration(bootstrap: Bootstrap) -> dict[str, Any]:
    """The configuration as JSON-ready data."""
    from_ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    clusters = [_local_cluster(XDS_CLUSTER, bootstrap.xds_socket)]
    if bootstrap.engine_socket is not None:
        clusters.append(_local_cluster(ENGINE_CLUSTER, bootstrap.engine_socket))
    return {
        "node": {"id": bootstrap.node_id, "cluster": NODE_CLUSTER},
        "admin": {"address": _admin_address(bootstrap)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": XDS_CLUSTER, "retry_policy": _quick_retries()}}],
            },
            "lds_config": from_ads,
            "cds_config": from_ads,
        },
        "static_resources": {"clusters": clusters},
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": [{"prefix": name} for name in _COUNTED]}}},
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        "memory_allocator_manager": dict(_GIVE_BACK),
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3."
                        "DownstreamConnectionsConfig",
                        "max_active_downstream_connections": bootstrap.max_connections,
                    },
                }
            ]
        },
        "layered_runtime": {
            "layers": [
                {
                    "name": "gatewright",
                    "static_layer": {
                        "re2.max_program_size.error_level": bootstrap.re2_max_program_size,
                        "re2.max_program_size.warn_level": bootstrap.re2_max_program_size,
                    },
                }
            ]
        },
    }


def write(bootstrap: Bootstrap, path: Path) -> None:
    """Write the configuration where only its owner can read it."""
    text = json.dumps(configuration(bootstrap), indent=1)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _admin_address(bootstrap: Bootstrap) -> dict[str, Any]:
    if bootstrap.admin_tcp is not None:
        host, port = bootstrap.admin_tcp
        return {"socket_address": {"address": host, "port_value": port}}
    return {"pipe": {"path": str(bootstrap.admin_socket), "mode": 0o600}}


def _local_cluster(name: str, socket: Path) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": _HTTP2,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _quick_retries() -> dict[str, Any]:
    """The relay is on the same machine: after its restart Envoy should be back within a moment."""
    return {"retry_back_off": {"base_interval": "0.05s", "max_interval": "1s"}}
