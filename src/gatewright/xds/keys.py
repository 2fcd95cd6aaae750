"""Names of the resource types, and the orders in which they travel. Pure data."""

from typing import Final, TypeAlias

from gatewright.envoy.resource import CLUSTER, LISTENER, ROUTES, SCOPE, SECRET, TYPE_PREFIX, Resource

ENDPOINTS: Final = TYPE_PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"

PUT_ORDER: Final = (CLUSTER, ENDPOINTS, SECRET, LISTENER, ROUTES, SCOPE)
"""Make before break: whatever is pointed at goes before what points at it. Removals go the other way round."""

REMOVAL_ORDER: Final = tuple(reversed(PUT_ORDER))

WILDCARD_TYPES: Final = frozenset({CLUSTER, LISTENER, SCOPE})
"""Types of which Envoy wants everything. An empty first subscription means all of them."""

USERS_OF_CLUSTERS: Final = frozenset({ROUTES, SCOPE})
"""Types that name clusters and are accepted by Envoy although a cluster is missing: clients would see 503."""

ResourceKey: TypeAlias = tuple[str, str]
"""Type URL and name: what makes a resource unique."""


def key_of(resource: Resource) -> ResourceKey:
    """Type URL and name of a resource."""
    return (resource.type_url, resource.name)


def short(key: ResourceKey) -> str:
    """A key for people: `Cluster pets`."""
    return f"{key[0].rpartition('.')[2]} {key[1]}"
