"""The HTTP connection manager: the same on every listener.

Source: data-plane reference, sections 2 and 7.
"""

from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.config.core.v3 import base_pb2, config_source_pb2, extension_pb2, protocol_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2
from google.protobuf import wrappers_pb2

from gatewright.envoy.access_log import access_logs
from gatewright.envoy.flat import FLAT_NAME
from gatewright.envoy.forms import Form
from gatewright.envoy.local_replies import local_reply_config
from gatewright.envoy.policies import http_filters
from gatewright.envoy.private_headers import NOT_FROM_CLIENTS, SCOPE_HEADER
from gatewright.envoy.resource import duration, packed
from gatewright.envoy.tracing import tracing_of
from gatewright.model.gateway import Gateway

_ROUTER = "envoy.filters.http.router"
_EARLY_HEADERS = "envoy.http.early_header_mutation.header_mutation"
_Hcm = hcm_pb2.HttpConnectionManager


def connection_manager(gateway: Gateway, form: Form) -> hcm_pb2.HttpConnectionManager:
    """Routes come over ADS, in the given form; the listener waits for them however long it takes."""
    manager = _Hcm(
        codec_type=_Hcm.AUTO,
        stat_prefix="http",
        server_name=gateway.server_header,
        server_header_transformation=_Hcm.ServerHeaderTransformation.Value(gateway.server_header_transformation),
        path_with_escaped_slashes_action=_Hcm.PathWithEscapedSlashesAction.Value(gateway.escaped_slashes),
        merge_slashes=gateway.normalize_path,
        request_timeout=duration(gateway.request_timeout_ms),
        request_headers_timeout=duration(gateway.request_headers_timeout_ms),
        stream_idle_timeout=duration(gateway.stream_idle_timeout_ms),
        common_http_protocol_options=protocol_pb2.HttpProtocolOptions(idle_timeout=duration(gateway.idle_timeout_ms)),
        early_header_mutation_extensions=[_early_headers(form)],
        local_reply_config=local_reply_config(gateway),
        access_log=access_logs(gateway.access_log),
        http_filters=[
            *http_filters(gateway),
            hcm_pb2.HttpFilter(name=_ROUTER, typed_config=packed(_router())),
        ],
    )
    manager.normalize_path.value = gateway.normalize_path
    manager.generate_request_id.value = True
    tracing = tracing_of(gateway)
    if tracing is not None:
        manager.tracing.CopyFrom(tracing)
    if form == "scoped":
        manager.scoped_routes.CopyFrom(_scoped_routes())
    else:
        manager.rds.CopyFrom(hcm_pb2.Rds(route_config_name=FLAT_NAME, config_source=over_ads()))
    return manager


def _router() -> router_pb2.Router:
    """Counters that Envoy looks up by name for every answer are dropped by our bootstrap: do not even look them up.

    Measured: 6 % of the instructions of a request.
    """
    return router_pb2.Router(dynamic_stats=wrappers_pb2.BoolValue(value=False))


def over_ads() -> config_source_pb2.ConfigSource:
    """Wait for the first answer of the management server without limit: no traffic before the routes are there."""
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(),
        resource_api_version=config_source_pb2.V3,
        initial_fetch_timeout=duration(0),
    )


def _scoped_routes() -> hcm_pb2.ScopedRoutes:
    builder = hcm_pb2.ScopedRoutes.ScopeKeyBuilder
    extractor = builder.FragmentBuilder.HeaderValueExtractor(name=SCOPE_HEADER, element_separator="/", index=1)
    return hcm_pb2.ScopedRoutes(
        name="apis",
        scope_key_builder=builder(fragments=[builder.FragmentBuilder(header_value_extractor=extractor)]),
        rds_config_source=over_ads(),
        scoped_rds=hcm_pb2.ScopedRds(scoped_rds_config_source=over_ads()),
    )


def _early_headers(form: Form) -> extension_pb2.TypedExtensionConfig:
    """Before routing: drop what clients must not forge; in the scoped form, copy the normalised path for the key."""
    mutation = mutation_rules_pb2.HeaderMutation
    mutations = [mutation(remove=name) for name in NOT_FROM_CLIENTS]
    if form == "scoped":
        option = base_pb2.HeaderValueOption(
            header=base_pb2.HeaderValue(key=SCOPE_HEADER, value="%PATH(NQ:PATH)%"),
            append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
        )
        mutations.append(mutation(append=option))
    return extension_pb2.TypedExtensionConfig(
        name=_EARLY_HEADERS, typed_config=packed(header_mutation_pb2.HeaderMutation(mutations=mutations))
    )
