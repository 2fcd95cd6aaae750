"""Clusters found in every place where a route can name one."""

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from xds_client import cluster, listener, scope

from gatewright.envoy.resource import packed, resource
from gatewright.xds.needs import clusters_needed, warms_up


def test_every_way_to_name_a_cluster_is_found() -> None:
    routes = route_pb2.RouteConfiguration(name="flat")
    routes.request_mirror_policies.add(cluster="mirror of all")
    host = routes.virtual_hosts.add(name="h", domains=["*"])
    host.request_mirror_policies.add(cluster="mirror of host")
    host.routes.add().route.cluster = "plain"
    weighted = host.routes.add().route.weighted_clusters
    weighted.clusters.add(name="heavy")
    weighted.clusters.add(name="light")
    host.routes[0].route.request_mirror_policies.add(cluster="mirror of route")
    host.routes.add().redirect.host_redirect = "elsewhere"
    host.routes.add().direct_response.status = 404

    assert clusters_needed(resource(routes)) == {
        "plain", "heavy", "light", "mirror of all", "mirror of host", "mirror of route"
    }  # fmt: skip


def test_routes_in_a_tree_of_matchers_are_found() -> None:
    routes = route_pb2.RouteConfiguration(name="flat")
    host = routes.virtual_hosts.add(name="h", domains=["*"])
    single, first = route_components_pb2.Route(), route_components_pb2.Route()
    single.route.cluster, first.route.cluster = "single", "listed"
    listed = route_components_pb2.RouteList(routes=[first])
    tree = host.matcher.matcher_tree
    tree.prefix_match_map.map["/a"].action.typed_config.CopyFrom(packed(single))
    nested = tree.prefix_match_map.map["/b"].matcher
    nested.matcher_tree.exact_match_map.map["x"].action.typed_config.CopyFrom(packed(listed))
    last = route_components_pb2.Route()
    last.route.cluster = "else"
    host.matcher.on_no_match.action.typed_config.CopyFrom(packed(last))

    assert clusters_needed(resource(routes)) == {"single", "listed", "else"}


def test_scopes_carry_their_routes_inside() -> None:
    assert clusters_needed(scope("s", ["a", "b"])) == {"a", "b"}


def test_other_types_need_nothing() -> None:
    assert clusters_needed(cluster("c")) == set()
    assert clusters_needed(listener("l")) == set()


@pytest.mark.parametrize(
    ("kind", "warms"),
    [
        (cluster_pb2.Cluster.STATIC, False),
        (cluster_pb2.Cluster.STRICT_DNS, True),
        (cluster_pb2.Cluster.LOGICAL_DNS, True),
        (cluster_pb2.Cluster.EDS, True),
    ],
)
def test_clusters_with_names_warm_up(kind: int, warms: bool) -> None:
    assert warms_up(resource(cluster_pb2.Cluster(name="c", type=kind))) is warms


def test_clusters_that_wait_for_a_secret_or_a_health_check_warm_up() -> None:
    with_tls = cluster_pb2.Cluster(name="c")
    with_tls.transport_socket.typed_config.CopyFrom(packed(tls_pb2.UpstreamTlsContext()))
    checked = cluster_pb2.Cluster(name="c")
    checked.health_checks.add()

    assert warms_up(resource(with_tls))
    assert warms_up(resource(checked))
