"""What resources need of others: routes need clusters, listeners need routes; some clusters must warm up. Pure.

Read here, and not handed along by the renderer, because a resource that came over the wire or from disk must be
ordered just as carefully as one that was rendered a moment ago.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2, scoped_route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from google.protobuf.message import DecodeError

from gatewright.envoy.resource import ROUTES, SCOPE, Resource

_MAX_DEPTH: Final = 64
"""Levels of nested matchers that are looked into; Envoy itself refuses far shallower trees."""


def clusters_needed(resource: Resource) -> frozenset[str]:
    """Names of the clusters that traffic of `resource` goes to; nothing for types without routes.

    Bytes that cannot be decoded need nothing: the router will refuse them in its own words.
    """
    try:
        if resource.type_url == SCOPE:
            scope = scoped_route_pb2.ScopedRouteConfiguration.FromString(resource.body)
            return frozenset(_of_configuration(scope.route_configuration))
        if resource.type_url == ROUTES:
            return frozenset(_of_configuration(route_pb2.RouteConfiguration.FromString(resource.body)))
    except DecodeError:
        pass
    return frozenset()


def warms_up(resource: Resource) -> bool:
    """Whether Envoy uses this cluster only after something else has happened, such as an answer from DNS.

    While any cluster warms, Envoy withholds the acknowledgements of all clusters.
    """
    try:
        cluster = cluster_pb2.Cluster.FromString(resource.body)
    except DecodeError:
        return False
    # A secret or a health check that is missing delays a cluster with fixed addresses just the same.
    plain = not cluster.health_checks and not cluster.HasField("transport_socket")
    return not (plain and cluster.type == cluster_pb2.Cluster.STATIC)


class Routing(msgspec.Struct, frozen=True):
    """Where the routes of a listener come from: scopes, route configurations by name, or (neither) itself."""

    scoped: bool = False
    configurations: frozenset[str] = frozenset()


def routing_of(listener: Resource) -> Routing:
    """What a listener waits for after it was acknowledged; nothing when it cannot be decoded."""
    scoped, configurations = False, set()
    try:
        for chain in listener_pb2.Listener.FromString(listener.body).filter_chains:
            for filter_ in chain.filters:
                if filter_.typed_config.Is(hcm_pb2.HttpConnectionManager.DESCRIPTOR):
                    manager = hcm_pb2.HttpConnectionManager.FromString(filter_.typed_config.value)
                    scoped = scoped or manager.HasField("scoped_routes")
                    configurations.add(manager.rds.route_config_name)
    except DecodeError:
        return Routing()
    return Routing(scoped, frozenset(configurations - {""}))


def _of_configuration(configuration: Any) -> Iterator[str]:  # noqa: ANN401 - protobuf messages carry no types here
    yield from _mirrors(configuration)
    for host in configuration.virtual_hosts:
        yield from _mirrors(host)
        for route in host.routes:
            yield from _of_route(route)
        if host.HasField("matcher"):
            yield from _of_matcher(host.matcher, _MAX_DEPTH)


def _of_route(route: Any) -> Iterator[str]:  # noqa: ANN401
    if route.WhichOneof("action") != "route":
        return
    action = route.route
    if action.cluster:
        yield action.cluster
    for weighted in action.weighted_clusters.clusters:
        if weighted.name:
            yield weighted.name
    yield from _mirrors(action)


def _mirrors(holder: Any) -> Iterator[str]:  # noqa: ANN401
    for policy in holder.request_mirror_policies:
        if policy.cluster:
            yield policy.cluster


def _of_matcher(matcher: Any, depth: int) -> Iterator[str]:  # noqa: ANN401
    if not depth:
        return
    for field in matcher.matcher_list.matchers:
        yield from _of_match(field.on_match, depth)
    tree = matcher.matcher_tree
    for matches in (tree.exact_match_map.map, tree.prefix_match_map.map):
        for on_match in matches.values():
            yield from _of_match(on_match, depth)
    yield from _of_match(matcher.on_no_match, depth)


def _of_match(on_match: Any, depth: int) -> Iterator[str]:  # noqa: ANN401
    kind = on_match.WhichOneof("on_match")
    if kind == "matcher":
        yield from _of_matcher(on_match.matcher, depth - 1)
    elif kind == "action":
        packed = on_match.action.typed_config
        if packed.Is(route_components_pb2.Route.DESCRIPTOR):
            yield from _of_route(route_components_pb2.Route.FromString(packed.value))
        elif packed.Is(route_components_pb2.RouteList.DESCRIPTOR):
            for route in route_components_pb2.RouteList.FromString(packed.value).routes:
                yield from _of_route(route)
