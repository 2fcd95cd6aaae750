"""Other bytes, same routes."""

from envoy.config.route.v3 import scoped_route_pb2
from xds_client import cluster, scope

from gatewright.envoy.resource import SCOPE, Resource, resource
from gatewright.xds.needs import clusters_needed
from gatewright.xds.salt import METADATA, salted


def test_a_salted_scope_differs_in_its_metadata_only() -> None:
    original = scope("s", ["c"])
    body = salted(original, "1.1")
    read = scoped_route_pb2.ScopedRouteConfiguration.FromString(body)

    assert body != original.body
    assert body != salted(original, "1.2")
    assert read.route_configuration.metadata.filter_metadata[METADATA].fields["grain"].string_value == "1.1"
    read.route_configuration.ClearField("metadata")
    assert resource(read) == original
    assert clusters_needed(Resource(SCOPE, "s", "v", body)) == {"c"}


def test_without_a_grain_and_for_other_types_nothing_changes() -> None:
    by_name = resource(scoped_route_pb2.ScopedRouteConfiguration(name="s", route_configuration_name="r"))
    broken = Resource(SCOPE, "s", "v", b"\xff")

    assert salted(scope("s", ["c"]), "") == scope("s", ["c"]).body
    assert salted(cluster("c"), "1") == cluster("c").body
    assert salted(by_name, "1") == by_name.body
    assert salted(broken, "1") == broken.body
