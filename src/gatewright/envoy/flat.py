"""The flat form: one RouteConfiguration for all APIs, a prefix tree in every virtual host."""

from collections.abc import Mapping, Sequence

from gatewright.envoy.resource import Resource, resource
from gatewright.envoy.route_configuration import route_configuration
from gatewright.envoy.virtual_hosts import plan_hosts
from gatewright.model.api import Api
from gatewright.model.credentials import Credential
from gatewright.model.gateway import Gateway

FLAT_NAME = "all-apis"


def render_flat(
    apis: Sequence[Api],
    *,
    credentials: Mapping[str, Sequence[Credential]],
    gateway: Gateway,
) -> list[Resource]:
    """The one route configuration. Health routes answer on every host, also on those that no API names."""
    ordered = sorted(apis, key=lambda api: api.api_id)
    plans = plan_hosts((route for api in ordered for route in api.routes), gateway.vhosts)
    configuration = route_configuration(
        FLAT_NAME, plans, ordered, credentials=credentials, gateway=gateway, health=True
    )
    return [resource(configuration)]
