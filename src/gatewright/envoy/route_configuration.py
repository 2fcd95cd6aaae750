"""Virtual hosts and what all routes share → a RouteConfiguration. No route matching is a 404 of the connection manager,
whose body is a local reply, so that no filter of a policy runs for it and no memory is spent on catch-all routes.
"""

from collections.abc import Mapping, Sequence

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2 as proto
from envoy.config.route.v3 import route_pb2

from gatewright.envoy.filter_configuration import place
from gatewright.envoy.policies import ENGINE_FILTER, engine_data, planner, scope_config
from gatewright.envoy.private_headers import NOT_TO_UPSTREAMS
from gatewright.envoy.route_tree import fill
from gatewright.envoy.routes import render_route
from gatewright.envoy.virtual_hosts import HostPlan
from gatewright.model.api import Api
from gatewright.model.credentials import Credential
from gatewright.model.gateway import Gateway

HEALTH_SEGMENT = "_gateway-health"
_HEALTH = (("gateway-ready", "ready"), ("gateway-healthy", "healthy"))


def route_configuration(
    name: str,
    plans: Sequence[HostPlan],
    apis: Sequence[Api],
    *,
    credentials: Mapping[str, Sequence[Credential]],
    gateway: Gateway,
    health: bool = False,
) -> route_pb2.RouteConfiguration:
    """Everything that one scope, or the whole gateway in the flat form, routes by; with `health`, on every host."""
    deciding = planner(credentials, gateway)
    on, off = scope_config(apis, credentials, deciding, gateway)
    configuration = empty_configuration(name)
    for filter_name in sorted(on):
        configuration.typed_per_filter_config[filter_name].CopyFrom(on[filter_name])
    for_engine = engine_data(apis, credentials, deciding)
    if for_engine:
        configuration.metadata.filter_metadata[ENGINE_FILTER].update(for_engine)
    reserved = {f"/{HEALTH_SEGMENT}": health_routes()} if health else {}
    for plan in plans:
        host = configuration.virtual_hosts.add(name=plan.domains[0], domains=plan.domains)
        placed = place(plan.routes, deciding, gateway, off)
        for filter_name in sorted(placed.shared):
            host.typed_per_filter_config[filter_name].CopyFrom(placed.shared[filter_name])
        pairs = zip(plan.routes, placed.own, strict=True)
        fill(host, plan.routes, [render_route(route, gateway, own) for route, own in pairs], reserved)
    if health and not any("*" in host.domains for host in configuration.virtual_hosts):
        fill(configuration.virtual_hosts.add(name="*", domains=["*"]), (), (), reserved)
    return configuration


def empty_configuration(name: str) -> route_pb2.RouteConfiguration:
    """A RouteConfiguration without virtual hosts."""
    return route_pb2.RouteConfiguration(
        name=name, request_headers_to_remove=NOT_TO_UPSTREAMS, ignore_port_in_host_matching=True
    )


def health_routes() -> list[proto.Route]:
    """What a load balancer asks: any method, any host (5)."""
    return [
        proto.Route(
            name=name,
            match=proto.RouteMatch(path=f"/{HEALTH_SEGMENT}/{status}"),
            direct_response=proto.DirectResponseAction(
                status=200, body=base_pb2.DataSource(inline_string=f'{{"status":"{status}"}}')
            ),
            response_headers_to_add=[
                base_pb2.HeaderValueOption(
                    header=base_pb2.HeaderValue(key="content-type", value="application/json"),
                    append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
                )
            ],
        )
        for name, status in _HEALTH
    ]
