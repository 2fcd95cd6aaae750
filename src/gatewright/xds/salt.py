"""Makes Envoy look at a scope again that it believes to know. Pure.

When a response with scopes is refused, Envoy (measured with 1.40) has noted the scopes that stood before the bad one as
present, but never handed them to its workers. The same bytes again are "unchanged" to it, and the scope stays away for
good. A grain of metadata that no filter reads makes the bytes differ.
"""

from typing import Final

from envoy.config.route.v3 import scoped_route_pb2
from google.protobuf.message import DecodeError

from gatewright.envoy.resource import SCOPE, Resource

METADATA: Final = "gatewright.attempt"


def salted(resource: Resource, grain: str) -> bytes:
    """The body of a scope with `grain` in its metadata; any other body, or without a grain, as it is."""
    if not grain or resource.type_url != SCOPE:
        return resource.body
    try:
        scope = scoped_route_pb2.ScopedRouteConfiguration.FromString(resource.body)
    except DecodeError:
        return resource.body
    if not scope.HasField("route_configuration"):
        return resource.body
    extra = scoped_route_pb2.ScopedRouteConfiguration()
    metadata = extra.route_configuration.metadata.filter_metadata[METADATA]
    metadata.fields["grain"].string_value = grain
    # Messages that follow each other are merged when they are read.
    return resource.body + bytes(extra.SerializeToString(deterministic=True))
