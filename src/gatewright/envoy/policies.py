"""Puts policies into Envoy's configuration: native forms as filters, everything else through the engine.

All filters stand switched off in the connection manager; a route or a scope that configures one switches it on for
itself, so that a route without policies pays nothing. Pure.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from envoy.config.core.v3 import base_pb2, grpc_service_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.ext_proc.v3 import ext_proc_pb2, processing_mode_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message

from gatewright.model.api import Api
from gatewright.model.credentials import ApiKeyCredential, Credential
from gatewright.model.gateway import Gateway
from gatewright.model.routes import PolicyUse, Route
from gatewright.model.subscriptions import Subscription
from gatewright.policies.planner import Planner
from gatewright.policies.registry import installed

ENGINE_FILTER = "gatewright.engine"
ENGINE_CLUSTER = "gatewright_engine"
CHAIN_METADATA = "x-gatewright-chain"
ENGINE_CREDENTIALS = "credentials"
ENGINE_SUBSCRIPTIONS = "subscriptions"
ENGINE_TIMEOUT_S = 60


class Chain(msgspec.Struct, frozen=True):
    """What the engine must run for a route. Travels with every call of the route, so the engine keeps no routes."""

    api_id: str
    operation_path: str
    policies: tuple[PolicyUse, ...]


def http_filters(gateway: Gateway) -> list[hcm_pb2.HttpFilter]:
    """Filters that stand before the router filter, all switched off."""
    filters = [
        _switched_off(native.name, native.config)
        for policy in installed()
        if gateway.native_policies and policy.native is not None
        for native in policy.native.filters(gateway)
    ]
    return [*filters, _switched_off(ENGINE_FILTER, _engine())]


def local_replies(gateway: Gateway) -> list[hcm_pb2.ResponseMapper]:
    """Shapes of the answers that native filters give."""
    mappers: list[hcm_pb2.ResponseMapper] = []
    for policy in installed():
        if gateway.native_policies and policy.native is not None:
            mappers.extend(policy.native.local_replies(gateway))
    return mappers


PolicyKey = tuple[str, str]
"""Name and full version."""

Configuration = Mapping[str, any_pb2.Any]
"""By the name of the filter."""


def planner(credentials: Mapping[str, Sequence[Credential]], gateway: Gateway) -> Planner:
    """What decides where the policies of routes run, for one rendering."""
    return Planner(installed(), credentials, native_allowed=gateway.native_policies)


def route_config(route: Route, plans: Planner, gateway: Gateway) -> dict[str, any_pb2.Any]:
    """Per-filter configuration of one route; empty for a route without policies."""
    planned = plans.plan(route)
    configured: dict[str, any_pb2.Any] = {}
    for use in planned.native:
        policy = installed().get(use.name, use.version)
        if policy is not None and policy.native is not None:
            for name, message in policy.native.route(route, use, gateway).items():
                configured[name] = _switched_on(message)
    if planned.engine:
        configured[ENGINE_FILTER] = _switched_on(_through_engine(route, planned.engine))
    return configured


def scope_config(
    apis: Iterable[Api], credentials: Mapping[str, Sequence[Credential]], plans: Planner, gateway: Gateway
) -> tuple[dict[str, any_pb2.Any], dict[PolicyKey, Configuration]]:
    """Configuration of a whole route configuration, and what routes need to be left alone by it.

    The second part has, for each policy whose filters the first part switches on, what a route without a native use of
    that policy must carry.
    """
    on: dict[str, any_pb2.Any] = {}
    off: dict[PolicyKey, Configuration] = {}
    used: dict[PolicyKey, set[str]] = {}
    for api in apis:
        for route in api.routes:
            for key in native_uses(route, plans):
                used.setdefault(key, set()).add(api.api_id)
    for key in sorted(used):
        policy = installed().get(*key)
        if policy is None or policy.native is None:
            continue
        concerned = {api_id: credentials.get(api_id, ()) for api_id in used[key]}
        switched = policy.native.scope(concerned, gateway)
        on.update((name, _switched_on(message)) for name, message in switched.items())
        off[key] = {name: _left_alone() for name in switched}
    return on, off


def native_uses(route: Route, plans: Planner) -> set[PolicyKey]:
    """The policies of a route that run inside Envoy."""
    return {(use.name, use.version) for use in plans.plan(route).native}


def engine_data(apis: Iterable[Api], credentials: Mapping[str, Sequence[Credential]], plans: Planner) -> dict[str, str]:
    """What the engine must know of these APIs, as JSON by the name of a field; empty when none goes through it.

    It travels as metadata of the routes, so that routes and keys are accepted, kept on disk and replaced together.
    """
    keys: dict[str, list[ApiKeyCredential]] = {}
    subscriptions: dict[str, list[Subscription]] = {}
    for api in apis:
        if needs_engine(api, plans):
            known = credentials.get(api.api_id, ())
            keys[api.api_id] = [one for one in known if isinstance(one, ApiKeyCredential)]
            if found := [one for one in known if isinstance(one, Subscription)]:
                subscriptions[api.api_id] = found
    fields = {ENGINE_CREDENTIALS: keys, ENGINE_SUBSCRIPTIONS: subscriptions}
    return {name: msgspec.json.encode(value, order="deterministic").decode() for name, value in fields.items() if value}


def needs_engine(api: Api, plans: Planner) -> bool:
    """Whether any route of an API goes through the engine."""
    return any(plans.plan(route).engine for route in api.routes)


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message, deterministic=True)
    return packed


def _switched_off(name: str, config: Message) -> hcm_pb2.HttpFilter:
    return hcm_pb2.HttpFilter(name=name, typed_config=_packed(config), disabled=True)


def _switched_on(config: Message) -> any_pb2.Any:
    return _packed(route_components_pb2.FilterConfig(config=_packed(config)))


def _left_alone() -> any_pb2.Any:
    return _packed(route_components_pb2.FilterConfig(disabled=True))


def _engine() -> ext_proc_pb2.ExternalProcessor:
    service = grpc_service_pb2.GrpcService(timeout=duration_pb2.Duration(seconds=ENGINE_TIMEOUT_S))
    service.envoy_grpc.cluster_name = ENGINE_CLUSTER
    return ext_proc_pb2.ExternalProcessor(
        grpc_service=service,
        message_timeout=duration_pb2.Duration(seconds=ENGINE_TIMEOUT_S),
        processing_mode=_headers_only(),
        failure_mode_allow=False,
    )


def _headers_only() -> processing_mode_pb2.ProcessingMode:
    mode = processing_mode_pb2.ProcessingMode
    return mode(
        request_header_mode=mode.SEND,
        response_header_mode=mode.SKIP,
        request_body_mode=mode.NONE,
        response_body_mode=mode.NONE,
        request_trailer_mode=mode.SKIP,
        response_trailer_mode=mode.SKIP,
    )


def _through_engine(route: Route, uses: tuple[PolicyUse, ...]) -> ext_proc_pb2.ExtProcPerRoute:
    chain = Chain(api_id=route.api_id, operation_path=route.operation_path, policies=uses)
    text = base64.b64encode(msgspec.json.encode(chain, order="deterministic")).decode()
    header = base_pb2.HeaderValue(key=CHAIN_METADATA, value=text)
    return ext_proc_pb2.ExtProcPerRoute(overrides=ext_proc_pb2.ExtProcOverrides(grpc_initial_metadata=[header]))
